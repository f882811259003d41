"""Texts of the page: one file per language in `texts/`, chosen by `?lang=` or by what the browser prefers."""

from __future__ import annotations

import tomllib
from pathlib import Path

FOLDER = Path(__file__).parent / "texts"
DEFAULT = "en"

Texts = dict[str, dict[str, str]]


def read_texts(folder: Path = FOLDER) -> dict[str, Texts]:
    """Language -> section -> key -> text, of all files in the folder."""
    return {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.toml"))}


def choose_language(wanted: str | None, accepted: str, known: list[str]) -> str:
    """The language asked for, or the known one that the `Accept-Language` header likes best.

    >>> choose_language(None, "fr, de-CH;q=0.8, en;q=0.5", ["de", "en"])
    'de'
    >>> choose_language("en", "de", ["de", "en"])
    'en'
    """
    if wanted in known:
        return str(wanted)
    liked = sorted((_preference(item) for item in accepted.split(",")[:20]), key=lambda pair: -pair[0])
    return next((language for weight, language in liked if language in known and weight > 0), DEFAULT)


def _preference(item: str) -> tuple[float, str]:
    language, _, parameter = item.strip().partition(";")
    weight = parameter.strip().removeprefix("q=")
    try:
        number = float(weight) if weight else 1.0
    except ValueError:
        number = 0.0
    return number, language.strip().lower().partition("-")[0]
