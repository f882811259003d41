"""What is wrong is said in the reader's language, on the page and to programs."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

import edge_agent
from contracts.errors import BundleError, LinkError, QuotaError
from edge_agent.follower import _code
from edge_agent.outputs.settings import OutputsSettings
from edge_agent.trouble import Trouble
from edge_agent.updates import UntrustedError
from edge_agent.web.texts import read_texts
from edge_agent.web.troubles import say
from tests.edge_agent.conftest import MakeAgent, wait_for
from tests.edge_agent.test_web_inspect import ask, inspect
from tests.simulators.port import free_port
from tests.simulators.small_bundle import encoded, picture

TEXTS = read_texts()
SOURCES = "".join(path.read_text() for path in Path(edge_agent.__file__).parent.rglob("*.py"))
USED = set(re.findall(r'code="([a-z-]+)"', SOURCES)) | {
    _code(error) for error in (LinkError(""), UntrustedError(""), BundleError(""), QuotaError(""))
}


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("language", TEXTS)
def test_every_trouble_has_words_and_no_other(language: str) -> None:
    words = TEXTS[language]["trouble"]
    assert set(words) == USED - {"silent"}, "silent is the example of a docstring"
    assert {code: places(text) for code, text in words.items()} == {
        code: places(text) for code, text in TEXTS["en"]["trouble"].items()
    }


def test_a_source_is_called_and_advised_about_by_its_kind() -> None:
    trouble = Trouble("no frames for 10 s", code="source-silent", seconds=10.0).within("x", kind="usb", name="top")
    assert say(trouble, TEXTS["de"]).startswith("Kamera top: seit 10 s keine Bilder. USB-Kabel")
    assert say(trouble, TEXTS["en"]).startswith("Camera top: no frames for 10 s. Check the USB cable")


def test_an_output_that_fails_is_told_in_german_and_to_programs(make_agent: MakeAgent) -> None:
    hook = {"name": "hook", "url": f"http://127.0.0.1:{free_port()}/"}
    agent = make_agent(outputs=OutputsSettings.model_validate({"webhook": [hook]}))
    inspect(agent, encoded(picture(90)), "?part_id=p-1")
    wait_for(lambda: agent.troubles())
    html = ask(agent, "GET", "/?lang=de")[1]
    assert "Ausgang hook ist seit" in html
    assert "has failed since" not in html
    (told,) = ask(agent, "GET", "/v1/troubles")[1]["troubles"]
    assert (told["code"], told["parameters"]["name"]) == ("output", "hook")
    assert told["text"].startswith("output hook has failed since")
