"""The words of the pages: every language says the same things, and every page finds its words."""

from __future__ import annotations

import re
import string
from enum import StrEnum
from pathlib import Path

import pytest

import monitor.web.rendering
from contracts.frame import Decision
from drift.camera import CameraFault
from monitor.rules.action import Kind, Phase, Symptom
from monitor.rules.reason import templates
from monitor.web.pages import STATIC_FOLDER
from monitor.web.rendering import environment
from monitor.web.texts import choose, languages, reason_templates, texts

TEMPLATES = environment()


def _places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_there_are_english_and_german() -> None:
    assert languages() == ("de", "en")


@pytest.mark.parametrize("language", languages())
def test_every_language_has_the_same_keys_and_places(language: str) -> None:
    english, other = texts("en").words, texts(language).words
    assert set(other) == set(english)
    assert {key: _places(text) for key, text in other.items()} == {key: _places(text) for key, text in english.items()}


def test_german_has_words_for_every_reason_of_the_rules() -> None:
    english, german = templates(), reason_templates("de")
    assert set(german) == set(english)
    assert {code: _places(text) for code, text in german.items()} == {
        code: _places(text) for code, text in english.items()
    }


def _sources() -> dict[str, str]:
    names = TEMPLATES.list_templates()
    assert len(names) > 6
    loader = TEMPLATES.loader
    assert loader is not None
    return {name: loader.get_source(TEMPLATES, name)[0] for name in names}


def test_templates_use_known_keys_only() -> None:
    known = set(texts("en").words)
    for name, source in _sources().items():
        used = set(re.findall(r'\bt\("([a-z_.A-Z]+)"\s*[,)]', source))
        assert used <= known, (name, used - known)
        groups = set(re.findall(r'\bt(?:\.name|\.group)?\("([a-z_]+)\.?"\s*(?:~|,|\))', source)) - {""}
        for group in groups:
            assert any(key.startswith(group + ".") for key in known), (name, group)


def test_every_key_is_used() -> None:
    """A text that no page shows is either a mistake or rubbish."""
    scripts = [path.read_text() for path in STATIC_FOLDER.glob("*.js")]
    rendering = Path(monitor.web.rendering.__file__).read_text()
    everything = "\n".join([*_sources().values(), *scripts, rendering])
    for key in texts("en").words:
        group = key.partition(".")[0]
        assert f'"{key}"' in everything or re.search(rf'"{group}\.?"', everything), key


def test_templates_hold_no_words_of_their_own() -> None:
    for name, source in _sources().items():
        visible = re.sub(r"\{[{%#].*?[}%#]\}", "", source, flags=re.DOTALL)
        visible = re.sub(r"<[^>]*>", "", visible, flags=re.DOTALL)
        found = [word for word in re.findall(r"[A-Za-z]{3,}", visible) if word not in ("doctype", "html")]
        assert not found, (name, found)


@pytest.mark.parametrize(
    ("group", "codes"),
    [
        ("state", Phase),
        ("decision", Decision),
        ("symptom", Symptom),
        ("ticket", Symptom),
        ("diagnosis", Kind),
        ("advice", Kind),
        ("fault", CameraFault),
    ],
)
def test_every_code_of_the_store_has_a_word(group: str, codes: type[StrEnum]) -> None:
    for language in languages():
        for code in codes:
            assert f"{group}.{code.value}" in texts(language).words, (language, code)


def test_an_unknown_code_is_shown_as_it_is() -> None:
    assert texts("de").name("state", "SOMETHING_NEW") == "SOMETHING_NEW"


@pytest.mark.parametrize(
    ("wanted", "remembered", "accepted", "chosen"),
    [
        ("de", "en", "en", "de"),
        (None, "de", "en", "de"),
        (None, None, "de-AT,en;q=0.8", "de"),
        (None, None, "fr, en;q=0.2, de;q=0.4", "de"),
        (None, None, "de;q=0, en", "en"),
        ("../../secret", "x", "q=;;;,", "en"),
        (None, None, None, "en"),
    ],
)
def test_the_language_is_chosen_by_wish_then_memory_then_browser(
    wanted: str | None, remembered: str | None, accepted: str | None, chosen: str
) -> None:
    assert choose(wanted, remembered, accepted) == chosen
