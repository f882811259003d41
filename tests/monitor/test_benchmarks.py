"""Figures of devices: asked for once, believed within bounds, kept by bundle and class of devices."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from contracts.benchmark import Benchmark as Found
from contracts.figures import MOST_ROWS, Figures
from contracts.orders import Benchmark
from contracts.schema import EXAMPLE_FOLDER
from contracts.telemetry import Event, EventKind, topic
from lineside.benchmark import evidence
from monitor.ingest import LARGEST_MESSAGE_BYTES, Arrival
from monitor.store.rollout_tables import BenchmarkRow, OrderRow, RefusedRow
from monitor.store.rule_tables import EventRow
from monitor.store.telemetry_tables import AgentRow
from tests.monitor.conftest import MakePlant
from tests.monitor.telemetry import START, envelope
from tests.monitor.test_api import client
from tests.monitor.web.conftest import make_pages
from tests.simulators.monitored_plant import AGENT, SITE, Plant
from tests.simulators.older_store import take_back

FP32 = "onnxruntime-cpu/fp32"


@pytest.fixture
def plant(make_plant: MakePlant) -> Plant:
    return make_plant()


def served(plant: Plant) -> str:
    assert plant.active_bundle is not None
    return plant.active_bundle.hash


def found(bundle_hash: str, **changes: Any) -> Found:
    """What `lineside benchmark` would write about the plant's bundle, which has one variant."""
    example = json.loads((EXAMPLE_FOLDER / "v1" / "benchmark.json").read_bytes())
    row = {**example["rows"][0], "variant": FP32, **changes.pop("row", {})}
    fields = {"rows": [row], "skipped": {}, "chosen": FP32, "reference": FP32, "default_variant": FP32}
    return Found.model_validate({**example, **fields, "bundle_hash": bundle_hash, **changes})


def told(bundle_hash: str, **changes: Any) -> dict[str, Any]:
    """What an agent would send; `row` changes its one row."""
    example = json.loads((EXAMPLE_FOLDER / "v1" / "figures.json").read_bytes())
    row = {**example["rows"][0], "variant": FP32, **changes.pop("row", {})}
    fields = {"rows": [row], "skipped": {}, "chosen": FP32, "reference": FP32}
    return {**example, **fields, "bundle_hash": bundle_hash, **changes}


def ordered(plant: Plant) -> Benchmark:
    """Ask the plant's agent; returns the order as it was sent."""
    plant.works.desk.benchmarks.order(
        site=SITE, agent=AGENT, bundle_hash=served(plant), runs=100, threads=None, reason="new station", by="lead"
    )
    plant.work()
    (order,) = plant.orders(Benchmark)
    assert isinstance(order, Benchmark)
    return order


def answer(plant: Plant, order_id: str, details: dict[str, Any]) -> None:
    plant.event(EventKind.ORDER_DONE, order_id=order_id, details=details)
    plant.work()


def kept(plant: Plant) -> list[BenchmarkRow]:
    with plant.works.store.read() as session:
        return list(session.scalars(select(BenchmarkRow)))


def state(plant: Plant, order_id: str) -> tuple[str, str]:
    with plant.works.store.read() as session:
        row = session.get_one(OrderRow, order_id)
        return row.state, row.outcome or ""


def lines(plant: Plant) -> list[EventRow]:
    with plant.works.store.read() as session:
        return [row for row in session.scalars(select(EventRow)) if row.kind == "benchmark"]


def test_figures_come_back_on_an_order_and_are_kept(plant: Plant) -> None:
    order = ordered(plant)
    assert (order.bundle_hash, order.runs, order.threads, order.reason) == (served(plant), 100, None, "new station")
    answer(plant, order.order_id, told(served(plant)))
    (row,) = kept(plant)
    assert (row.benchmark_id, row.agent, row.by, row.device_class) == (order.order_id, AGENT, None, "x86-vnni")
    assert Figures.model_validate(row.figures).rows[0].p50_seconds == pytest.approx(0.00676, abs=1e-5)
    assert state(plant, order.order_id) == ("done", "")
    asked, measured = lines(plant)
    assert (asked.code, asked.parameters["by"]) == ("benchmark.ordered", "lead")
    assert "onnxruntime-cpu/fp32 is to serve there, median 6.76 ms" in measured.text


def test_figures_are_kept_once_however_often_they_come(plant: Plant) -> None:
    order = ordered(plant)
    for processor in ("first", "second", "third"):
        details = told(served(plant))
        details["machine"] = {**details["machine"], "processor": processor}
        answer(plant, order.order_id, details)
    repeated = envelope(
        plant.sequence,
        Event(event=EventKind.ORDER_DONE, at=START, order_id=order.order_id, details=told(served(plant))),
        boot=plant.boot,
    )
    arrival = Arrival(topic(SITE, AGENT, "event"), repeated.model_dump_json().encode(), datetime.now(UTC))
    plant.works.ingest.commit([arrival, arrival])
    plant.work()
    assert [row.figures["machine"]["processor"] for row in kept(plant)] == ["first"]
    assert len(lines(plant)) == 2


NONE = {"chosen": None, "chosen_threads": None}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bundle_hash": "c" * 64}, "which was not asked for"),
        ({"row": {"variant": "openvino-cpu/int8"}, **NONE}, "has no variant openvino-cpu/int8"),
        ({"skipped": {"tensorrt/int8": "no GPU"}}, "has no variant tensorrt/int8"),
        ({"row": {"p99_seconds": 1e9}}, "rows.0.p99_seconds"),
        ({"row": {"p50_seconds": 0.9}}, "must not fall"),
        ({"row": {"peak_bytes": -1}}, "rows.0.peak_bytes"),
        ({"row": {"peak_bytes": 10**400}}, "rows.0.peak_bytes"),
        ({"row": {"variant": "<script>"}}, "rows.0.variant"),
        ({"row": {"golden_same": 9}}, "more golden samples"),
        ({"row": {"golden_passed": False}}, "no row says that it may serve"),
        ({"rows": []}, "rows"),
        ({"rows": [told("c" * 64)["rows"][0]] * (MOST_ROWS + 1)}, "rows"),
        ({"skipped": {f"openvino-cpu/a{n}": "" for n in range(MOST_ROWS + 1)}}, "skipped"),
        ({"machine": {"processor": "x" * 201}}, "machine.processor"),
        ({"machine": {"processor": "a\nb"}}, "machine.processor"),
        ({"remark": "x" * 201}, "remark"),
        ({"device_class": "Hall 3"}, "device_class"),
        ({"schema_version": 2}, "schema_version"),
    ],
)
def test_figures_that_cannot_be_right_are_refused_with_the_reason(
    plant: Plant, changes: dict[str, Any], words: str
) -> None:
    order = ordered(plant)
    answer(plant, order.order_id, told(**{"bundle_hash": served(plant), **changes}))
    assert kept(plant) == []
    ended, why = state(plant, order.order_id)
    assert (ended, "cannot be used" in why, words in why) == ("failed", True, True), why
    assert len(why) < 500
    plant.minute()
    assert [row.code for row in lines(plant)] == ["benchmark.ordered"]


def test_figures_that_are_no_numbers_are_refused(plant: Plant) -> None:
    order = ordered(plant)
    details = told(served(plant), row={"p99_seconds": 1234.5})
    event = Event(event=EventKind.ORDER_DONE, at=START, order_id=order.order_id, details=details)
    text = envelope(plant.sequence + 1, event, boot=plant.boot).model_dump_json()
    assert "1234.5" in text
    payload = text.replace("1234.5", "NaN").encode()
    plant.works.ingest.commit([Arrival(topic(SITE, AGENT, "event"), payload, datetime.now(UTC))])
    plant.work()
    assert kept(plant) == []
    assert "rows.0.p99_seconds" in state(plant, order.order_id)[1]


def test_an_agent_cannot_call_certified_what_is_not(plant: Plant) -> None:
    from monitor.store.rollout_tables import BundleRow

    order = ordered(plant)
    with plant.works.store.write() as session:
        row = session.get_one(BundleRow, served(plant))
        row.manifest = {**row.manifest, "certificates": []}
    answer(plant, order.order_id, told(served(plant)))
    assert kept(plant) == []
    assert "no certificate of onnxruntime-cpu/fp32 that passed" in state(plant, order.order_id)[1]


def test_an_agent_answers_only_orders_of_its_own(plant: Plant) -> None:
    order = ordered(plant)
    event = Event(event=EventKind.ORDER_DONE, at=START, order_id=order.order_id, details=told(served(plant)))
    payload = envelope(1, event, agent="agent-2").model_dump_json().encode()
    plant.works.ingest.commit([Arrival(topic(SITE, "agent-2", "event"), payload, datetime.now(UTC))])
    answer(plant, "benchmark-never-given", told(served(plant)))
    assert kept(plant) == []
    assert state(plant, order.order_id)[0] == "open"
    answer(plant, order.order_id, told(served(plant)))
    assert len(kept(plant)) == 1


def test_the_largest_figures_fit_into_one_message() -> None:
    row = {**told("c" * 64)["rows"][0], "variant": f"{'a' * 64}/{'b' * 16}"}
    rows = [{**row, "threads": number + 1} for number in range(MOST_ROWS)]
    skipped = {f"{'a' * 64}/{'c' * 14}{n:02}": "é" * 200 for n in range(MOST_ROWS)}
    largest = told("c" * 64, rows=rows, skipped=skipped, remark="é" * 200, chosen=row["variant"])
    details = Figures.model_validate(largest).model_dump(mode="json")
    event = Event(event=EventKind.ORDER_DONE, at=START, details=details)
    assert len(envelope(1, event).model_dump_json()) < LARGEST_MESSAGE_BYTES / 4


# --- over HTTP


def ask(bundle_hash: str, **changes: Any) -> dict[str, Any]:
    return {"agent": AGENT, "bundle_hash": bundle_hash, "reason": "new station", "by": "lead", **changes}


def test_an_order_is_given_and_read_over_http(plant: Plant) -> None:
    web = client(plant)
    given = web.post("/v1/benchmarks", json=ask(served(plant), runs=50, threads=1))
    assert given.status_code == 202
    plant.work()
    (order,) = plant.orders(Benchmark)
    assert (order.order_id, order.runs, order.threads) == (given.json()["order_id"], 50, 1)
    answer(plant, order.order_id, told(served(plant)))
    read = web.get("/v1/benchmarks", params={"bundle_hash": served(plant)}).json()
    assert [row["agent"] for row in read["benchmarks"]] == [AGENT]
    assert [row["state"] for row in read["orders"]] == ["done"]
    nothing = {"benchmarks": [], "orders": []}
    assert web.get("/v1/benchmarks", params={"bundle_hash": "c" * 64}).json() == nothing
    assert web.get("/v1/benchmarks", params={"site": "elsewhere"}).json() == nothing


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"agent": "agent-9"}, 404, "no agent 'agent-9'"),
        ({"bundle_hash": "c" * 64}, 404, "has no bundle"),
        ({"site": "elsewhere"}, 404, "no site 'elsewhere'"),
        ({"runs": 1001}, 422, "runs"),
        ({"runs": 1}, 422, "runs"),
        ({"threads": 65}, 422, "threads"),
        ({"reason": ""}, 422, "reason"),
        ({"by": "Mr X Y"}, 422, "by"),
        ({"bundle": "x"}, 422, "bundle"),
    ],
)
def test_an_order_that_cannot_be_given_says_why(plant: Plant, changes: dict[str, Any], status: int, words: str) -> None:
    answered = client(plant).post("/v1/benchmarks", json=ask(**{"bundle_hash": served(plant), **changes}))
    assert (answered.status_code, words in answered.text) == (status, True), answered.text


def test_one_order_at_a_time_and_none_for_a_refused_bundle(plant: Plant) -> None:
    web = client(plant)
    first = web.post("/v1/benchmarks", json=ask(served(plant))).json()["order_id"]
    again = web.post("/v1/benchmarks", json=ask(served(plant)))
    assert (again.status_code, first in again.json()["detail"]) == (409, True)
    plant.event(EventKind.ORDER_FAILED, order_id=first, reason="it does not lie on this device")
    plant.work()
    with plant.works.store.write() as session:
        session.add(RefusedRow(site=SITE, bundle_hash=served(plant), reason="it was wrong", at=START))
    refused = web.post("/v1/benchmarks", json=ask(served(plant)))
    assert (refused.status_code, "it was wrong" in refused.json()["detail"]) == (409, True)


def test_strangers_agents_and_other_pages_order_and_submit_nothing(plant: Plant) -> None:
    web = client(plant, password="secret", token="agent-token")
    for path, more in (("/v1/benchmarks", {"json": ask(served(plant))}), ("/v1/benchmarks/submitted", {"data": {}})):
        assert web.post(path, **more).status_code == 401
        assert web.post(path, headers={"Authorization": "Bearer agent-token"}, **more).status_code == 401
    foreign = {"Authorization": "Bearer secret", "Origin": "http://elsewhere"}
    assert web.post("/v1/benchmarks", json=ask(served(plant)), headers=foreign).status_code == 403
    assert web.get("/v1/benchmarks").status_code == 401
    person = {"Authorization": "Bearer secret"}
    assert web.post("/v1/benchmarks", json=ask(served(plant)), headers=person).status_code == 202


def submit(web: TestClient, data: bytes, by: str = "rater-7") -> Any:
    return web.post("/v1/benchmarks/submitted", data={"by": by}, files={"benchmark": ("evidence.json", data)})


def test_a_submitted_file_is_kept_once_and_marked_as_by_hand(plant: Plant) -> None:
    web = client(plant)
    data = evidence(found(served(plant))).model_dump_json(indent=1).encode()
    first, again = submit(web, data), submit(web, data)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    (row,) = kept(plant)
    assert (row.agent, row.by, row.device_class) == (None, "rater-7", "x86-vnni")
    assert [line.code for line in lines(plant)] == ["benchmark.submitted"]
    other = found(served(plant), machine={"processor": "Cortex-A76", "system": "Linux aarch64", "flags": []})
    assert submit(web, other.model_dump_json().encode()).status_code == 201
    assert {row.device_class for row in kept(plant)} == {"x86-vnni", "aarch64"}


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"bundle_hash": "c" * 64}, 404, "hand it in first"),
        ({"row": {"p99_seconds": 1e9}}, 422, "p99_seconds"),
        ({"row": {"callers": 2}}, 422, "rows"),
        ({"machine": {"processor": "x" * 10_000}}, 422, "machine.processor"),
        ({"machine": {"flags": "all"}}, 422, "machine"),
    ],
)
def test_a_submitted_file_that_cannot_be_right_is_refused(
    plant: Plant, changes: dict[str, Any], status: int, words: str
) -> None:
    wrong = found(**{"bundle_hash": served(plant), **changes})
    answered = submit(client(plant), wrong.model_dump_json().encode())
    assert (answered.status_code, words in answered.text) == (status, True), answered.text
    assert kept(plant) == []


def test_what_is_no_benchmark_or_too_large_is_refused(plant: Plant) -> None:
    web = client(plant)
    assert submit(web, b"no json").status_code == 422
    assert submit(web, b'{"rows": []}').status_code == 422
    assert submit(web, b" " * (256 * 1024 + 1)).status_code == 413


# --- on the page


def test_the_page_shows_figures_by_class_and_who_is_at_it(plant: Plant) -> None:
    with TestClient(make_pages(plant.works)) as web:
        assert "No device has measured this bundle yet." in web.get("/releases").text
        order = ordered(plant)
        page = web.get("/releases").text
        assert f"{AGENT} is asked to measure" in page
        details = told(served(plant), remark="<script>alert(1)</script>")
        details["machine"] = {**details["machine"], "processor": "<b>EPYC"}
        answer(plant, order.order_id, details)
        submit(web, found(served(plant)).model_dump_json().encode())
        page = web.get("/releases").text
    assert f"{AGENT} is asked to measure" not in page
    for words in (
        "x86-vnni",
        "6.76 ms",
        "42.51 ms",
        "97 MB",
        "8/8 ± 0.000",
        "to serve",
        "submitted by hand by rater-7",
    ):
        assert words in page, words
    assert "<script>alert" not in page
    assert "<b>EPYC" not in page
    assert "&lt;b&gt;EPYC" in page
    assert page.index("submitted by hand") < page.index("&lt;b&gt;EPYC"), "newest first"


def test_the_page_shows_the_newest_and_counts_the_others(plant: Plant) -> None:
    with TestClient(make_pages(plant.works)) as web:
        for cores in range(1, 6):
            machine = {"processor": f"kind {cores}", "cores": cores, "system": "Linux aarch64", "flags": []}
            assert submit(web, found(served(plant), machine=machine).model_dump_json().encode()).status_code == 201
        page = web.get("/releases").text
    assert [f"kind {cores}" in page for cores in range(1, 6)] == [False, False, True, True, True]
    assert "2 older ones" in page


def test_the_page_says_why_an_agent_could_not_measure(plant: Plant) -> None:
    order = ordered(plant)
    plant.event(EventKind.ORDER_FAILED, order_id=order.order_id, reason="64 threads are asked for")
    plant.work()
    with TestClient(make_pages(plant.works)) as web:
        assert f"{AGENT} could not measure: 64 threads are asked for" in web.get("/releases").text


def test_only_agents_that_have_the_bundle_are_offered(plant: Plant) -> None:
    with plant.works.store.write() as session:
        session.add(AgentRow(site=SITE, agent="press-9", last_seen_at=START, channel_sequence=0))
    with TestClient(make_pages(plant.works)) as web:
        page = web.get("/releases").text
    assert f'<option value="{AGENT}">' in page
    assert "press-9" not in page


def test_figures_are_there_after_a_restart(plant: Plant) -> None:
    order = ordered(plant)
    plant.restart()
    answer(plant, order.order_id, told(served(plant)))
    plant.restart()
    assert [row.benchmark_id for row in kept(plant)] == [order.order_id]


def test_a_store_of_the_version_before_gets_the_table(tmp_path: Path) -> None:
    from monitor.store import Store

    store = Store(tmp_path / "monitor.db")
    with store.write() as session:
        session.add(RefusedRow(site=SITE, bundle_hash="a", reason="worse", at=START))
    store.close()
    take_back(tmp_path / "monitor.db", to="0001")
    store = Store(tmp_path / "monitor.db")
    with store.read() as session:
        assert session.scalars(select(BenchmarkRow)).all() == []
        assert session.scalars(select(RefusedRow.reason)).one() == "worse"
    store.close()
