"""Benchmark orders: measured beside the line, reported once, and what is surely faster serves."""

from __future__ import annotations

import dataclasses
import itertools
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.benchmark import Benchmark as Found
from contracts.channel import Release
from contracts.errors import BundleError
from contracts.figures import Figures
from contracts.orders import Benchmark
from contracts.schema import EXAMPLE_FOLDER
from contracts.telemetry import Event, EventKind
from edge_agent import benchmarking, selection
from edge_agent.agent import Agent
from edge_agent.benchmarking import successor
from edge_agent.settings import InspectionSettings
from edge_agent.source import Capture
from runtime.benchmark import Plan, benchmark
from runtime.bundle import Bundle
from runtime.machine import device_class
from runtime.runner import Runner
from tests.edge_agent.conftest import MakeAgent, wait_for
from tests.edge_agent.test_follower import Shelf
from tests.simulators.captures import frame
from tests.simulators.slow_variant import FAST, SLOW, write_slow_and_fast
from tests.simulators.small_bundle import picture, write_small_bundle

PATIENCE = 240.0  # seconds, until a benchmark is over on a busy machine


def order(bundle_hash: str, number: int = 1, *, seconds: float = 3600, **changes: Any) -> bytes:
    now = datetime.now(UTC)
    values = {"runs": 20, "bundle_hash": bundle_hash, **changes}
    times = {"issued_at": now, "expires_at": now + timedelta(seconds=seconds), "reason": "new processors"}
    return Benchmark(order_id=f"benchmark-{number}", **times, **values).model_dump_json().encode()


def events(agent: Agent, kind: EventKind) -> list[Event]:
    bodies = [message.envelope.body for message in agent.core.outbox.waiting(after=0, limit=1000)]
    return [body for body in bodies if isinstance(body, Event) and body.event is kind]


def ended(agent: Agent, count: int = 1) -> list[Event]:
    """How orders ended, once there are so many."""
    kinds = (EventKind.ORDER_DONE, EventKind.ORDER_FAILED)
    wait_for(lambda: sum(len(events(agent, kind)) for kind in kinds) >= count or agent.failure, PATIENCE)
    assert agent.failure is None
    return [event for kind in kinds for event in events(agent, kind)]


def serving(agent: Agent) -> str:
    active = agent.core.station.active
    assert active is not None
    return active.session.variant


def found(**changes: Any) -> Found:
    """A benchmark with int8 chosen over fp32, on one thread."""
    example = Found.model_validate_json((EXAMPLE_FOLDER / "v1" / "benchmark.json").read_bytes())
    return example.model_copy(update=changes)


class Line:
    """Shows a part every ten milliseconds until it is closed."""

    name = "line"

    def __init__(self) -> None:
        self._closed = threading.Event()

    def captures(self) -> Iterator[Capture | None]:
        """One part after the other."""
        for number in itertools.count():
            if self._closed.wait(0.01):
                return
            yield Capture(frame(number), picture(90, number))
            yield None

    def close(self) -> None:
        """No more."""
        self._closed.set()


@pytest.fixture(autouse=True)
def _in_front(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a machine that runs all tests has left for the background would make these last for hours."""
    monkeypatch.setattr(benchmarking, "_LONGEST_REST_SECONDS", 0.02)
    plans: list[Plan] = []

    def in_front(bundle: Bundle, plan: Plan, **more: Any) -> Found:
        plans.append(plan)
        return benchmark(bundle, dataclasses.replace(plan, background=False, starts=1), **more)

    monkeypatch.setattr(benchmarking, "benchmark", in_front)
    yield
    assert all(plan.background for plan in plans)


@pytest.fixture
def slow_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """A bundle of which an agent serves the slow variant: when it first looked, the other one seemed no faster."""
    monkeypatch.setattr(selection, "interleaved_seconds", lambda calls, **_: {name: [1.0] * 20 for name in calls})
    return write_slow_and_fast(tmp_path / "made")


def test_the_figures_of_every_variant_come_back_with_the_order(make_agent: MakeAgent, small_bundle: Bundle) -> None:
    agent = make_agent()
    agent.core.orders.receive(order(small_bundle.hash))
    (event,) = ended(agent)
    assert (event.event, event.order_id) == (EventKind.ORDER_DONE, "benchmark-1")
    told = Figures.model_validate(event.details)
    assert (told.bundle_hash, told.device_class) == (small_bundle.hash, device_class())
    assert [(row.variant, row.threads, row.runs) for row in told.rows] == [(SLOW, 1, 20)]
    assert told.rows[0].p50_seconds > 0
    assert told.chosen is None, "nobody has certified it"
    assert told.remark == f"{SLOW} goes on serving"


def test_verdicts_keep_coming_while_it_runs(make_agent: MakeAgent, slow_serves: Bundle) -> None:
    agent = make_agent(Line(), bundle=slow_serves)
    wait_for(lambda: agent.core.station.answered > 0)
    agent.core.orders.receive(order(slow_serves.hash))
    wait_for(lambda: agent.benchmarker.doing == "benchmark-1")
    answered = agent.core.station.answered
    wait_for(lambda: agent.core.station.answered >= answered + 50, PATIENCE)
    assert agent.benchmarker.doing == "benchmark-1"
    assert ended(agent)[0].event is EventKind.ORDER_DONE
    answered = agent.core.station.answered
    wait_for(lambda: agent.core.station.answered > answered + 5)
    assert agent.core.station.failures == 0


def test_what_it_starts_gives_way_to_everything_else(small_bundle: Bundle) -> None:
    with Runner(small_bundle, SLOW, threads=1, background=True) as asked:
        assert os.getpriority(os.PRIO_PROCESS, asked.process_id) == 19
        assert Path(f"/proc/{asked.process_id}/oom_score_adj").read_text().strip() == "1000"
        assert os.getsid(asked.process_id) == os.getsid(0), "Linux may share the processor by sessions first"
    with Runner(small_bundle, SLOW, threads=1) as asked:
        assert os.getpriority(os.PRIO_PROCESS, asked.process_id) == os.getpriority(os.PRIO_PROCESS, 0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bundle_hash": "c" * 64}, "does not lie on this device"),
        ({"threads": 64}, "64 threads are asked for; this device has"),
        ({"seconds": -1}, "expired"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_at_once(
    make_agent: MakeAgent, small_bundle: Bundle, changes: dict[str, Any], words: str
) -> None:
    agent = make_agent()
    agent.core.orders.receive(order(**{"bundle_hash": small_bundle.hash, **changes}))
    (event,) = events(agent, EventKind.ORDER_FAILED)
    assert words in event.reason
    assert agent.core.orders.open(Benchmark) == []


def test_a_surely_faster_certified_variant_takes_the_place_and_keeps_it(
    make_agent: MakeAgent, slow_serves: Bundle
) -> None:
    agent = make_agent(bundle=slow_serves)
    assert serving(agent) == SLOW
    agent.core.orders.receive(order(slow_serves.hash))
    told = Figures.model_validate(ended(agent)[0].details)
    assert (told.chosen, serving(agent)) == (FAST, FAST)
    assert told.remark == f"{FAST} serves instead of {SLOW}"
    (said,) = events(agent, EventKind.BUNDLE_ACTIVATED)
    assert (said.details["variant"], said.details["basis"]) == (FAST, "certificate")
    assert "benchmark-1" in said.reason
    agent.close()
    assert serving(make_agent(bundle=slow_serves)) == FAST


def test_a_variant_that_does_not_prove_itself_now_leaves_the_old_one_serving(
    make_agent: MakeAgent, slow_serves: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make_agent(bundle=slow_serves)
    monkeypatch.setattr(benchmarking, "benchmark", lambda *_, **__: found(bundle_hash=slow_serves.hash))

    def fails(*_: object, **__: object) -> None:
        raise BundleError("it answers otherwise today")

    monkeypatch.setattr(selection, "probe", fails)
    agent.core.orders.receive(order(slow_serves.hash))
    told = Figures.model_validate(ended(agent)[0].details)
    assert (told.chosen, serving(agent)) == (FAST, SLOW)
    assert told.remark == f"{SLOW} goes on serving: it answers otherwise today"
    assert events(agent, EventKind.BUNDLE_ACTIVATED) == []


def test_the_variant_that_the_settings_name_stays(
    make_agent: MakeAgent, slow_serves: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make_agent(bundle=slow_serves, inspection=InspectionSettings(variant=SLOW))
    monkeypatch.setattr(benchmarking, "benchmark", lambda *_, **__: found(bundle_hash=slow_serves.hash))
    agent.core.orders.receive(order(slow_serves.hash))
    told = Figures.model_validate(ended(agent)[0].details)
    assert (told.chosen, serving(agent)) == (FAST, SLOW)
    assert "the settings name it" in told.remark


def test_a_faster_variant_without_a_certificate_is_reported_and_does_not_serve(
    make_agent: MakeAgent, tmp_path: Path
) -> None:
    bundle = write_slow_and_fast(tmp_path / "made", certified=(SLOW,))
    agent = make_agent(bundle=bundle)
    agent.core.orders.receive(order(bundle.hash))
    told = Figures.model_validate(ended(agent)[0].details)
    assert {row.variant: row.certified for row in told.rows} == {SLOW: True, FAST: False}
    assert (told.chosen, serving(agent)) == (SLOW, SLOW)


def test_nothing_changes_where_the_serving_variant_or_its_threads_were_not_measured() -> None:
    assert successor(found(), SLOW, threads=1) == FAST
    assert successor(found(), FAST, threads=1) is None
    assert successor(found(), SLOW, threads=2) is None
    assert successor(found(), "openvino-cpu/int8", threads=1) is None
    assert successor(found(chosen=None), SLOW, threads=1) is None


def test_an_order_that_a_restart_interrupts_is_carried_out_afterwards(
    make_agent: MakeAgent, slow_serves: Bundle
) -> None:
    agent = make_agent(bundle=slow_serves)
    agent.core.orders.receive(order(slow_serves.hash))
    wait_for(lambda: agent.benchmarker.doing)
    agent.close()
    again = make_agent(bundle=slow_serves)
    assert [event.order_id for event in ended(again)] == ["benchmark-1"]
    assert again.core.orders.open(Benchmark) == []
    assert serving(again) == FAST


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_order_that_ends_the_agent_each_time_is_given_up(
    make_agent: MakeAgent, small_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise SystemExit

    monkeypatch.setattr(benchmarking, "benchmark", killed)

    def lives_through_it() -> bool:
        agent = make_agent()
        agent.core.orders.receive(order(small_bundle.hash))
        wait_for(lambda: agent.failure or events(agent, EventKind.ORDER_FAILED))
        agent.close()
        return agent.failure is None

    assert [lives_through_it() for _ in range(3)] == [False, False, False]
    (event,) = ended(make_agent())
    assert (event.event, "ended 3 times" in event.reason) == (EventKind.ORDER_FAILED, True)


def test_the_bundle_that_served_before_is_measured_and_kept_meanwhile(
    make_agent: MakeAgent, small_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make_agent(bundle=None)
    bundles, slots = agent.core.bundles, agent.core.bundles.slots
    second, third = (write_small_bundle(tmp_path / name, seed=seed) for name, seed in (("second", 2), ("third", 3)))
    shelf = Shelf(small_bundle, second, third)

    def install(number: int, bundle: Bundle) -> None:
        assert bundles.install(shelf, Release(number=number, bundle_hash=bundle.hash), "released")
        slots.confirm()
        bundles.prune(keep=())

    def pushed_out_meanwhile(bundle: Bundle, *_: object, **__: object) -> None:
        install(3, third)
        here.append((bundle.path / "manifest.json").is_file())
        raise BundleError("enough was seen")

    here: list[bool] = []
    monkeypatch.setattr(benchmarking, "benchmark", pushed_out_meanwhile)
    install(1, small_bundle)
    install(2, second)
    agent.core.orders.receive(order(small_bundle.hash))
    assert [event.reason for event in ended(agent)] == ["enough was seen"]
    assert here == [True]
    wait_for(lambda: agent.benchmarker.doing is None)
    bundles.prune(keep=())
    assert slots.find(small_bundle.hash) is None
    agent.core.orders.receive(order(small_bundle.hash, 2))
    assert "does not lie on this device" in ended(agent, 2)[1].reason


def test_it_rests_as_long_as_it_worked_and_ends_with_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    now, rests = [0.0], []

    class Stopping(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            rests.append(timeout)
            now[0] += timeout or 0.0
            return self.is_set()

    monkeypatch.setattr(benchmarking, "_LONGEST_REST_SECONDS", 10.0)
    monkeypatch.setattr(benchmarking.time, "monotonic", lambda: now[0])
    stopping = Stopping()
    rest = benchmarking._giving_way(stopping)
    for worked in (2.0, 0.5, 30.0):
        now[0] += worked
        rest("measuring", 0.5)
    assert rests == [2.0, 0.5, 10.0]
    now[0] += 3 * 3600
    with pytest.raises(BundleError, match="ask for fewer runs"):
        rest("measuring", 0.5)
    stopping.set()
    with pytest.raises(benchmarking._Stopped):
        rest("measuring", 0.5)


def test_one_is_carried_out_after_the_other(make_agent: MakeAgent, small_bundle: Bundle) -> None:
    agent = make_agent()
    for number in (1, 2):
        agent.core.orders.receive(order(small_bundle.hash, number))
        agent.core.orders.receive(order(small_bundle.hash, number))
    assert [event.order_id for event in ended(agent, 2)] == ["benchmark-1", "benchmark-2"]


def test_a_bundle_that_was_damaged_on_the_disk_is_refused(make_agent: MakeAgent, tmp_path: Path) -> None:
    bundle = write_small_bundle(tmp_path / "own")
    agent = make_agent(bundle=bundle)
    (bundle.path / "model.onnx").write_bytes(b"something else")
    agent.core.orders.receive(order(bundle.hash))
    (event,) = ended(agent)
    assert (event.event, "model.onnx" in event.reason) == (EventKind.ORDER_FAILED, True)
    assert serving(agent) == SLOW
