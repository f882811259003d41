"""Severity and place of a defect: in the answer, on record and on the operator's page, and never in telemetry."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from contracts.errors import BundleError
from contracts.tasks import Severity
from edge_agent.agent import Agent
from edge_agent.inspection import Inspector
from edge_agent.record import Record
from edge_agent.source import Capture
from edge_agent.store import _SCHEMA, Store
from runtime.bundle import Bundle
from runtime.session import Session
from tests.edge_agent.conftest import MakeAgent
from tests.edge_agent.test_web_inspect import ask, inspect
from tests.simulators.browser import PROGRAM, Browser, browser
from tests.simulators.captures import frame, inspection
from tests.simulators.older_agent import make_older
from tests.simulators.small_bundle import encoded, picture, write_small_bundle
from tests.simulators.tasks_bundle import TASKS, spotted, write_tasks_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tasks_bundle(tmp_path_factory.mktemp("tasks") / "bundle")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as made:
        yield made


def test_a_defect_has_a_severity_and_a_box_around_its_place(bundle: Bundle) -> None:
    inspected = Inspector(bundle).inspect(Capture(frame(0), spotted(24, 12)))
    assert inspected.verdict.severity == Severity(level=1, name="up to 20")
    assert inspected.verdict.box == (24.0, 12.0, 36.0, 24.0)
    assert inspected.heat is not None
    assert inspected.heat[16:32, 32:48].mean() > inspected.heat.mean() + 0.1


def test_a_part_that_passes_has_none(bundle: Bundle) -> None:
    verdict = Inspector(bundle).inspect(Capture(frame(0), picture(80))).verdict
    assert verdict.severity == Severity(level=0, name="none")
    assert verdict.box is None


def test_box_is_in_pixels_of_the_file_that_was_sent_however_it_is_decoded(bundle: Bundle) -> None:
    pixels = spotted(480, 240, side=960)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95)
    inspected = Inspector(bundle).inspect(Capture(frame(0), file.getvalue()))
    assert inspected.pixels is not None
    assert inspected.pixels.shape[0] < 960
    assert inspected.verdict.box == (480.0, 240.0, 720.0, 480.0)


def test_a_bundle_that_promises_tasks_must_answer_them(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="severity must be tensor"):
        Session(write_small_bundle(tmp_path / "bundle", tasks=TASKS))


def test_a_manifest_without_tasks_does_not_mention_them(small_bundle: Bundle) -> None:
    assert "tasks" not in json.loads((small_bundle.path / "manifest.json").read_text())


def test_record_keeps_severity_and_box(store: Store, bundle: Bundle) -> None:
    verdict = Inspector(bundle).inspect(Capture(frame(0), spotted(24, 12))).verdict
    record = Record(store)
    record.append([(verdict, None), (inspection(1).verdict, None)])
    assert [entry.verdict for entry in record.entries(limit=2)] == [inspection(1).verdict, verdict]
    header, plain, _ = "".join(record.csv_lines()).replace('""', '"').splitlines()
    assert ",severity,box," in header
    assert '{"level":1,"name":"up to 20"}' in plain


def test_a_database_of_the_version_before_is_kept_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "agent.sqlite"
    store = Store(path)
    Record(store).append([(inspection(0).verdict, "file-0")])
    store.close()
    make_older(path, 1)
    store = Store(path)
    record = Record(store)
    record.append([(inspection(1).verdict, "file-1")])
    assert [entry.verdict for entry in record.entries(limit=9)] == [inspection(1).verdict, inspection(0).verdict]
    columns = [row["name"] for row in store.rows("PRAGMA table_info(verdicts)")]
    store.close()
    fresh = sqlite3.connect(":memory:")
    fresh.executescript(_SCHEMA)
    assert columns == [row[1] for row in fresh.execute("PRAGMA table_info(verdicts)")]


def send(agent: Agent, part_id: str) -> None:
    inspect(agent, encoded(spotted(24, 12)), f"?part_id={part_id}")


def test_reply_has_them_and_telemetry_has_not(make_agent: MakeAgent, bundle: Bundle) -> None:
    agent = make_agent(bundle=bundle)
    status, reply, _ = ask(agent, "POST", "/v1/inspect?part_id=p-1", encoded(spotted(24, 12)))
    assert status == 200
    body = json.loads(reply) if isinstance(reply, str | bytes) else reply
    assert body["severity"] == {"level": 1, "name": "up to 20"}
    assert body["box"] == [24.0, 12.0, 36.0, 24.0]
    for _ in range(12):
        send(agent, "p-2")
    agent.core.ledger.commit(end_all=True)
    told = "".join(row["body"] for row in agent.core.store.rows("SELECT body FROM outbox"))
    assert '"window"' in told
    assert "up to 20" not in told
    assert '"box"' not in told


def test_page_draws_the_place_over_the_picture(make_agent: MakeAgent, bundle: Bundle, small_bundle: Bundle) -> None:
    agent = make_agent(bundle=bundle)
    send(agent, "p-1")
    html = str(ask(agent, "GET", "/?lang=de")[1])
    assert "Schwere 1: <b>up to 20</b>" in html
    assert '<rect x="24.0" y="12.0" width="12.0" height="12.0"/>' in html
    status, _, headers = ask(agent, "GET", f"/heat/{agent.core.outbox.boot}/1.png")
    assert (status, headers["content-type"]) == (200, "image/png")
    assert ask(agent, "GET", "/heat/other/1.png")[0] == 404


def test_page_has_no_layer_over_a_part_that_passes(make_agent: MakeAgent, bundle: Bundle) -> None:
    agent = make_agent(bundle=bundle)
    inspect(agent, encoded(picture(80)), "?part_id=p-1")
    html = str(ask(agent, "GET", "/?lang=en")[1])
    assert 'data-part="p-1"' in html
    assert 'class="where"' not in html
    assert "data-where" not in html


@pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed")
def test_operator_takes_the_layer_away_and_it_stays_away(
    chromium: Browser, make_agent: MakeAgent, bundle: Bundle
) -> None:
    agent = make_agent(bundle=bundle)
    send(agent, "p-1")
    chromium.open(agent.url + "/?lang=en")
    shown = "getComputedStyle(document.querySelector('.where')).display"
    assert chromium.run(shown) != "none"
    chromium.run("document.querySelector('[data-where]').click()")
    assert chromium.run(shown) == "none"
    send(agent, "p-2")
    chromium.wait_for("document.querySelector('#panel article')?.dataset.part === 'p-2'")
    assert chromium.run(shown) == "none"
    assert chromium.run("document.querySelector('[data-where]').ariaPressed") == "false"
    assert chromium.complaints == []
