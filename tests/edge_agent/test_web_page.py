"""The operator's page: in the reader's language, with everything an operator needs, and nothing from elsewhere."""

from __future__ import annotations

import io
import re
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edge_agent.web.page
from contracts.frame import Decision
from drift.camera import CameraFault
from edge_agent.web.texts import choose_language, read_texts
from runtime.bundle import Bundle
from tests.edge_agent.conftest import MakeAgent
from tests.edge_agent.test_web_inspect import ask, inspect
from tests.edge_agent.test_web_outcomes import say
from tests.simulators.small_bundle import encoded, picture, write_small_bundle

WEB = Path(edge_agent.web.page.__file__).parent
TEXTS = read_texts()


def test_every_language_has_the_same_texts() -> None:
    keys = {language: {f"{s}.{k}" for s in texts for k in texts[s]} for language, texts in TEXTS.items()}
    assert set(keys) == {"en", "de"}
    assert keys["en"] == keys["de"]


def test_every_text_that_a_template_asks_for_exists_and_every_text_is_asked_for() -> None:
    source = "".join(path.read_text() for path in (WEB / "templates").glob("*.html"))
    asked = set(re.findall(r"\bt\.(\w+)\.(?!get\b)(\w+)", source))
    known = {(section, key) for section, texts in TEXTS["en"].items() for key in texts}
    assert asked <= known
    by_value = {
        "drift",
        "fault",
        "decision",
        "trouble",
        "source",
        "advice",
        "purpose",
        "carries",
        "why",
        "whole",
    }  # looked up by a value
    assert {(section, key) for section, key in known - asked if section not in by_value} == set()


def test_no_section_of_texts_is_called_like_something_that_every_dictionary_has() -> None:
    assert not [section for section in TEXTS["en"] if hasattr(dict, section)], "a template would get a method"


def test_every_decision_and_every_camera_fault_has_a_text() -> None:
    assert set(TEXTS["en"]["decision"]) == {decision.value for decision in Decision}
    assert set(TEXTS["en"]["fault"]) == {fault.value for fault in CameraFault}


def test_templates_and_script_hold_no_words_of_their_own() -> None:
    for path in (WEB / "templates").glob("*.html"):
        shown = re.sub(r"\{[{%].*?[%}]\}|<[^>]*>", " ", path.read_text(), flags=re.DOTALL)
        assert not re.search(r"[A-Za-z]{3,}", shown.replace("UTC", "").replace("Lineside", "")), path


@pytest.mark.parametrize(
    ("wanted", "accepted", "language"),
    [(None, "", "en"), (None, "de-AT,de;q=0.9", "de"), (None, "fr,en;q=0.2,de;q=0.7", "de"), ("en", "de", "en"),
     ("xx", "de", "de"), (None, "de;q=zero, en", "en"), (None, "de;q=0", "en"), (None, ",;,;;q=", "en")],
)  # fmt: skip
def test_the_language_is_the_one_asked_for_or_preferred(wanted: str | None, accepted: str, language: str) -> None:
    assert choose_language(wanted, accepted, ["de", "en"]) == language


def test_an_empty_station_says_that_it_waits(make_agent: MakeAgent) -> None:
    agent = make_agent(bundle=None)
    assert TEXTS["en"]["page"]["empty"] in ask(agent, "GET", "/")[1]
    html = ask(agent, "GET", "/", headers={"Accept-Language": "de"})[1]
    assert '<html lang="de">' in html
    assert TEXTS["de"]["page"]["empty"] in html
    assert TEXTS["de"]["state"]["no_model"] in html


def test_the_newest_part_is_shown_with_its_verdict_and_the_two_buttons(make_agent: MakeAgent) -> None:
    agent = make_agent()
    inspect(agent, encoded(picture(180)), "?part_id=p-17&camera=cam-a")
    html = ask(agent, "GET", "/?lang=en")[1]
    for text in ("p-17", "cam-a", ">Defect<", "Wrong, it is", 'data-right="true"', "Runs without a monitor"):
        assert text in html


def test_a_part_without_a_side_is_asked_about_openly(make_agent: MakeAgent) -> None:
    agent = make_agent()
    inspect(agent, b"no image", "?part_id=p-1")
    html = ask(agent, "GET", "/fragments/1?lang=en")[1]
    assert 'data-right="true"' not in html
    assert TEXTS["en"]["say"]["question_open"] in html


def test_a_faulty_camera_is_explained_in_the_readers_language(make_agent: MakeAgent) -> None:
    agent = make_agent()
    for n in range(6):
        inspect(agent, encoded(picture(0, n) // 8), f"?part_id=p-{n}")
    html = ask(agent, "GET", "/?lang=de")[1]
    assert html.count(TEXTS["de"]["fault"]["black"]) == 2  # beside the part and among the cameras
    assert "is faulty" not in html


def test_fragments_hold_only_what_is_new(make_agent: MakeAgent) -> None:
    agent = make_agent()
    for n, level in enumerate((80, 180, 80)):
        inspect(agent, encoded(picture(level)), f"?part_id=p-{n}")
    pieces = ask(agent, "GET", "/fragments?after=1")[1]
    assert pieces["newest"] == 3
    assert re.findall(r'data-part="([^"]+)"', pieces["cards"]) == ["p-2", "p-1"]
    only = ask(agent, "GET", "/fragments?after=0&not_ok=true")[1]
    assert re.findall(r'data-part="([^"]+)"', only["cards"]) == ["p-1"]
    assert ask(agent, "GET", "/fragments?after=3")[1]["panel"] is None


def test_what_was_said_about_a_part_stays_visible(make_agent: MakeAgent) -> None:
    agent = make_agent()
    inspect(agent, encoded(picture(180)), "?part_id=p-1")
    say(agent, part_id="p-1", label="good")
    assert 'class="card NG said"' in ask(agent, "GET", "/")[1]


def test_the_page_shows_nothing_that_is_hidden(make_agent: MakeAgent, small_bundle: Bundle, tmp_path: Path) -> None:
    corner = ((0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 9.0))
    areas = {"schema_version": 2, "source_size": (48, 48), "hidden": (corner,)}
    spec = small_bundle.manifest.preprocessing.model_dump() | areas
    agent = make_agent(bundle=write_small_bundle(tmp_path / "hiding", preprocessing=spec))
    inspect(agent, encoded(picture(180)))
    with urllib.request.urlopen(f"{agent.url}/thumbnails/{agent.core.outbox.boot}/1.jpg", timeout=10) as answer:
        shown = np.asarray(Image.open(io.BytesIO(answer.read())))
    assert shown[:7, :7].max() < 40
    assert shown[18:, 18:].min() > 120


def test_thumbnails_are_pictures_of_this_run_only(make_agent: MakeAgent) -> None:
    agent = make_agent()
    inspect(agent, encoded(picture(180)))
    status, _, headers = ask(agent, "GET", f"/thumbnails/{agent.core.outbox.boot}/1.jpg")
    assert (status, headers.get_content_type()) == (200, "image/jpeg")
    assert ask(agent, "GET", "/thumbnails/other/1.jpg")[0] == 404
    assert ask(agent, "GET", f"/thumbnails/{agent.core.outbox.boot}/99.jpg")[0] == 404


def test_a_label_with_markup_is_shown_as_text(make_agent: MakeAgent) -> None:
    agent = make_agent(extra_labels=("<script>alert(1)</script>",))
    inspect(agent, encoded(picture(180)))
    html = ask(agent, "GET", "/")[1]
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html


def test_the_page_loads_nothing_from_elsewhere(make_agent: MakeAgent) -> None:
    status, html, headers = ask(make_agent(), "GET", "/")
    assert status == 200
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', html)
    for path in set(re.findall(r'(?:src|href)="(/[^"]+)"', html)):
        assert html.count(path) > 0
