"""The words of the pages: one file for each language, the same keys in all of them, none in code or templates."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from monitor.rules.reason import templates

TEXT_FOLDER = Path(__file__).parent / "texts"
DEFAULT_LANGUAGE = "en"


@dataclass(frozen=True)
class Texts:
    """The words of one language."""

    language: str
    words: Mapping[str, str]

    def __call__(self, key: str, **values: Any) -> str:
        """The text of a key with its places filled in. Raises KeyError for an unknown key."""
        return self.words[key].format(**values)

    def name(self, group: str, code: str | None) -> str:
        """The word for a code of the store (a state, a kind of event); the code itself where there is no word."""
        return self.words.get(f"{group}.{code}", code or "")

    def group(self, prefix: str) -> dict[str, str]:
        """All texts under `prefix.`, without it: what a script of a page needs."""
        start = prefix + "."
        return {key.removeprefix(start): text for key, text in self.words.items() if key.startswith(start)}


@cache
def texts(language: str) -> Texts:
    """The words of that language."""
    with (TEXT_FOLDER / f"{language}.toml").open("rb") as file:
        return Texts(language, dict(_flat(tomllib.load(file))))


@cache
def reason_templates(language: str) -> Mapping[str, str]:
    """The rules' reasons by code: English lies with the rules, every other language here."""
    if language == DEFAULT_LANGUAGE:
        return templates()
    with (TEXT_FOLDER / f"reasons.{language}.toml").open("rb") as file:
        return {str(code): str(text) for code, text in tomllib.load(file).items()}


@cache
def languages() -> tuple[str, ...]:
    """Languages that there is a file for."""
    return tuple(sorted(path.stem for path in TEXT_FOLDER.glob("*.toml") if "." not in path.stem))


def choose(wanted: str | None, remembered: str | None, accepted: str | None) -> str:
    """The language of a page: as asked for, as chosen before, as the browser prefers (RFC 9110, 12.5.4), English.

    >>> choose(None, None, "fr;q=0.9, de-AT;q=0.8, en;q=0.5")
    'de'
    """
    for language in (wanted, remembered, *_preferred(accepted or "")):
        if language in languages():
            return language
    return DEFAULT_LANGUAGE


def _preferred(header: str) -> list[str]:
    weighted = []
    for item in header[:500].split(","):
        name, _, weight = item.strip().partition(";q=")
        try:
            weighted.append((float(weight or 1.0), name.strip().lower().partition("-")[0]))
        except ValueError:
            continue
    return [name for weight, name in sorted(weighted, key=lambda pair: -pair[0]) if weight > 0]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in tree.items():
        pairs += _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(f"{prefix}{name}", str(value))]
    return pairs
