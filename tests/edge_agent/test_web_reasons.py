"""Why a part got no verdict: in the reader's language, whoever withheld it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from contracts.frame import Decision, Verdict
from drift.camera import CameraFault
from edge_agent.deadline import in_time
from edge_agent.inspection import Inspector
from edge_agent.parts.joining import Joined, Joining, Key, OpenPart
from edge_agent.parts.rule import decide
from edge_agent.pause import Pause, Paused
from edge_agent.products.changeover import Changeover
from edge_agent.products.settings import ChangeoverSettings, ProductSettings
from edge_agent.source import Capture
from edge_agent.station import fault_reason
from edge_agent.web.reasons import why, why_whole
from edge_agent.web.texts import read_texts
from runtime.bundle import Bundle
from tests.edge_agent.conftest import MakeAgent
from tests.edge_agent.test_web_inspect import ask, inspect
from tests.simulators.captures import frame
from tests.simulators.small_bundle import encoded, picture

TEXTS = read_texts()
ENGLISH_ONLY = ("allowed", "inspection", "product ", "image", "camera", "bundle", "send ", "pixels")


@pytest.fixture
def told(small_bundle: Bundle) -> list[str]:
    """What the parts of the agent say."""
    inspector = Inspector(small_bundle)
    late = in_time(Verdict(frame=frame(0), decision=Decision.OK), age=3.21, deadline=2.0)
    pause = object.__new__(Pause)
    pause.now = Paused(since=datetime.now(UTC), by="maier")
    cap = [ProductSettings(name="cap", codes=("4711",))]
    by_line = Changeover(cap, ChangeoverSettings(product_from="line"))
    reasons = [
        late.reason,
        pause.reason,
        Changeover(cap, ChangeoverSettings()).assign(Capture(frame(0), picture(80), product_code="99")).unjudged,
        Changeover([], ChangeoverSettings()).assign(Capture(frame(0), picture(80), product_code="99")).unjudged,
        by_line.assign(Capture(frame(0), picture(80))).unjudged,
    ]
    images: list[Any] = [b"no image", encoded(picture(80))[:200], np.zeros((2, 2, 3), np.uint8)]
    reasons += [inspector.inspect(Capture(frame(0), image)).verdict.reason for image in images]
    return [reason for reason in reasons if reason is not None]


def test_every_reason_of_the_agent_is_said_in_german_with_its_figures(told: list[str]) -> None:
    assert len(told) == 8
    for reason in told:
        german = why(reason, "cam-a", TEXTS["de"])
        assert not any(word in german.split("(")[0] for word in ENGLISH_ONLY), german
        assert why(reason, "cam-a", TEXTS["en"]) == reason
    first, second, *_ = (why(reason, "cam-a", TEXTS["de"]) for reason in told)
    assert first == "um 1.21 s zu spät: die Antwort kam 3.21 s nach dem Auslöser, erlaubt sind 2 s"
    assert second == "die Prüfung wurde von maier angehalten"


@pytest.mark.parametrize("key", TEXTS["en"]["why"])
def test_every_text_finds_its_own_english_words(key: str) -> None:
    english = TEXTS["en"]["why"][key]
    assert why(english, "cam-a", TEXTS["de"]) == TEXTS["de"]["why"][key]


def test_a_faulty_camera_is_named_and_what_nobody_knows_stays_as_it_is() -> None:
    told = fault_reason("cam-a", CameraFault.BLACK)
    assert why(told, "cam-a", TEXTS["de"]) == "Kamera cam-a sieht nur Schwarz"
    assert why("a word of {nobody}", "cam-a", TEXTS["de"]) == "a word of {nobody}"


def test_every_reason_of_a_part_of_several_views_is_said_in_german() -> None:
    views = {"cam-a": Decision.NG, "cam-b": Decision.OK}
    _, reason = decide(views, ["cam-a", "cam-b", "cam-c", "cam-d"], ["cap", "nut"], within_seconds=2.5)
    assert why_whole(str(reason), TEXTS["de"]) == {
        "says": ["cam-a sagt Fehler"],
        "no-picture": ["kein Bild von cam-c, cam-d innerhalb von 2.5 s"],
        "products": ["seine Bilder nennen verschiedene Produkte: cap, nut"],
    }
    joining = Joining([])
    joining.reopen(OpenPart(Key("housing", "P-1"), "cap", "l", frozenset(), {"cam-a": Decision.OK}, due=0.0), 0.0)
    joining.settle(1.0, datetime.now(UTC), joined := Joined())
    ((_, verdict),) = joined.decided
    told = why_whole(str(verdict.reason), TEXTS["de"])
    assert told == {"unknown": ["die Einstellungen kennen das Teil housing nicht mehr"]}
    assert why_whole("a word of {nobody}", TEXTS["de"]) == {"": ["a word of {nobody}"]}


def test_the_page_and_the_record_say_it_in_german(make_agent: MakeAgent) -> None:
    agent = make_agent()
    inspect(agent, b"no image at all", "?part_id=p-1")
    for page in ("/?lang=de", "/records?lang=de"):
        html = ask(agent, "GET", page)[1]
        assert "kein Bild in einem der Formate" in html
        assert "not an image" not in html
