"""The timeline's words: every code that is noted anywhere has words in every language, with the same places."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

from monitor.rules.reason import Reason
from monitor.timeline import LANGUAGES, plain, render, templates

ROOT = Path(__file__).parents[2] / "monitor"
CODE = re.compile(
    r'"((?:agent|benchmark|bundle|camera|channel|candidate|first|gold|labels|release|retrain|order|person|telemetry|thresholds)'
    r'\.[a-z-]+)"'
)


def codes_in_use() -> set[str]:
    texts = [file.read_text(encoding="utf-8") for file in ROOT.glob("*.py")]
    found = {code for text in texts for code in CODE.findall(text) if not code.endswith((".json", ".csv"))}
    answered = {f"person.{said}" for said in ("repaired", "permanent", "adopt", "retrain", "close")}
    return found | answered | {"order.failed", "order.expired"}


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_code_in_use_has_words_and_no_other(language: str) -> None:
    assert set(templates(language)) == codes_in_use()


def test_languages_have_the_same_places() -> None:
    english, german = templates("en"), templates("de")
    assert {code: places(text) for code, text in german.items()} == {
        code: places(text) for code, text in english.items()
    }


def test_numbers_and_lists_are_shown_as_people_write_them() -> None:
    shown = render("first.too-weak", {"reached": 0.55512, "needed": 0.6})
    assert shown == "balanced accuracy 0.555 on the gold set, 0.6 needed"
    assert "cam-a, cam-b" in render(
        "agent.born", {"agent": "a", "software": "1", "bundle": "b", "cameras": ["cam-a", "cam-b"]}
    )


def test_reasons_of_rules_and_of_the_timeline_both_have_plain_words() -> None:
    assert plain(Reason(code="commissioned", parameters={"windows": 60})) == "learned the normal state from 60 windows"
    assert plain(Reason(code="candidate.is-active", parameters={"release": 2})) == "release 2 is active"
