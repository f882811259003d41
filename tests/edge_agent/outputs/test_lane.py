"""A lane: one output's thread and queue. What an output does, or fails to do, stays in its lane."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

import pytest

import edge_agent.outputs.lane
from contracts.answer import Answer
from contracts.errors import LinkError
from contracts.frame import Decision
from edge_agent.outputs.lane import Lane
from edge_agent.outputs.output import Pulse, Refused
from edge_agent.outputs.switchboard import Switchboard
from tests.edge_agent.conftest import wait_for
from tests.simulators.answers import LETTERHEAD, told


class Scripted:
    """An output that does what a test says: `fault` is raised, `gate` holds it."""

    def __init__(self, name: str = "scripted") -> None:
        self.name = name
        self.fault: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.answers: list[Answer] = []
        self.pulses: list[Pulse] = []
        self.opened = self.closed = 0
        self.entered = threading.Event()

    def open(self) -> None:
        self._act()
        self.opened += 1

    def deliver(self, answer: Answer) -> None:
        self._act()
        self.answers.append(answer)

    def beat(self, pulse: Pulse) -> bool:
        self.pulses.append(pulse)
        return False

    def close(self) -> None:
        self.closed += 1

    @property
    def sequences(self) -> list[int]:
        return [answer.sequence for answer in self.answers]

    def _act(self) -> None:
        self.entered.set()
        assert self.gate.wait(60)
        if self.fault is not None:
            raise self.fault


class Bench:
    """Lanes under test, with what they counted."""

    def __init__(self) -> None:
        self.lanes: list[Lane] = []
        self.counts: Counter[str] = Counter()
        self.well = True
        self.unready: str | None = None

    def lane(self, output: Scripted, *, queue: int = 10, cameras: tuple[str, ...] = (), beat: float = 60.0) -> Lane:
        lane = Lane(
            output,
            LETTERHEAD,
            cameras=cameras,
            queue=queue,
            beat_seconds=beat,
            well=lambda: self.well,
            unready=lambda: self.unready,
            count=lambda result: self.counts.update([result]),
        )
        self.lanes.append(lane)
        lane.start()
        return lane


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(edge_agent.outputs.lane, "_FIRST_WAIT_SECONDS", 0.02)
    monkeypatch.setattr(edge_agent.outputs.lane, "_LONGEST_WAIT_SECONDS", 0.05)
    bench = Bench()
    yield bench
    for lane in bench.lanes:
        lane.output.gate.set()  # type: ignore[attr-defined]
        lane.close()


def test_answers_arrive_in_order_with_what_the_line_needs(bench: Bench) -> None:
    output = Scripted()
    lane = bench.lane(output)
    for n in range(5):
        lane.tell(told(n, Decision.NG))
    wait_for(lambda: len(output.answers) == 5)
    assert output.sequences == [0, 1, 2, 3, 4]
    first = output.answers[0]
    assert (first.decision, first.part_id, first.safe_action) == (Decision.NG, "cam-a-0", "divert")
    assert first.recorded.decision is Decision.NG
    assert bench.counts == {"delivered": 5}


def test_an_answer_that_waited_too_long_is_told_as_none(bench: Bench) -> None:
    output = Scripted()
    output.fault = LinkError("away")
    lane = bench.lane(output)
    lane.tell(told(0, age=0.9, deadline=1.0))
    wait_for(lambda: bench.counts["failed"] > 30)
    output.fault = None
    wait_for(lambda: output.answers)
    (late,) = output.answers
    assert late.decision is Decision.NO_VERDICT
    assert (late.reason or "").startswith("late by ")
    assert late.recorded.decision is Decision.OK
    assert bench.counts["late"] == 1


def test_a_full_queue_drops_the_oldest_and_counts_it(bench: Bench) -> None:
    output = Scripted()
    lane = bench.lane(output, queue=3)
    wait_for(lambda: output.opened)
    output.gate.clear()
    output.entered.clear()
    lane.tell(told(0))
    assert output.entered.wait(30)
    for n in range(1, 8):
        lane.tell(told(n))
    output.gate.set()
    wait_for(lambda: len(output.answers) == 4)
    assert output.sequences == [0, 5, 6, 7]
    assert bench.counts == {"delivered": 4, "overflow": 4}


def test_what_fails_is_tried_again_in_order_and_said_since_when(bench: Bench) -> None:
    output = Scripted()
    output.fault = LinkError("the cable is out")
    lane = bench.lane(output)
    for n in range(3):
        lane.tell(told(n))
    wait_for(lambda: bench.counts["failed"] >= 3)
    assert lane.trouble is not None
    assert lane.trouble.startswith("output scripted has failed since 2")
    assert "the cable is out" in lane.trouble
    assert lane.waiting == 3
    first = lane.trouble
    wait_for(lambda: bench.counts["failed"] >= 5)
    assert lane.trouble == first
    output.fault = None
    wait_for(lambda: len(output.answers) == 3)
    assert output.sequences == [0, 1, 2]
    wait_for(lambda: lane.trouble is None)


def test_pauses_grow_while_it_fails_and_are_short_again_after_a_success(bench: Bench) -> None:
    output = Scripted()
    output.fault = LinkError("away")
    lane = bench.lane(output)
    lane.tell(told(0))
    wait_for(lambda: bench.counts["failed"] >= 4)
    assert lane._wait_seconds == edge_agent.outputs.lane._LONGEST_WAIT_SECONDS
    output.fault = None
    wait_for(lambda: output.answers)
    wait_for(lambda: lane._wait_seconds == edge_agent.outputs.lane._FIRST_WAIT_SECONDS)


def test_what_is_refused_is_dropped_and_the_next_one_goes_on(bench: Bench) -> None:
    output = Scripted()
    lane = bench.lane(output)
    wait_for(lambda: output.opened)
    output.fault = Refused("not this one")
    lane.tell(told(0))
    wait_for(lambda: bench.counts["refused"] == 1)
    assert "not this one" in (lane.trouble or "")
    output.fault = None
    lane.tell(told(1))
    wait_for(lambda: output.sequences == [1])
    wait_for(lambda: lane.trouble is None)


def test_an_output_that_breaks_unexpectedly_is_opened_again(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    output = Scripted()
    lane = bench.lane(output)
    wait_for(lambda: output.opened == 1)
    output.fault = ZeroDivisionError("a bug")
    lane.tell(told(0))
    wait_for(lambda: output.closed == 1)
    assert "ZeroDivisionError" in (lane.trouble or "")
    output.fault = None
    wait_for(lambda: output.opened == 2)
    lane.tell(told(1))
    wait_for(lambda: output.sequences == [1])
    assert bench.counts["refused"] == 1


def test_only_answers_of_its_cameras_are_sent(bench: Bench) -> None:
    output = Scripted()
    lane = bench.lane(output, cameras=("cam-b",))
    lane.tell(told(0, camera="cam-a"))
    lane.tell(told(1, camera="cam-b"))
    wait_for(lambda: output.answers)
    assert output.sequences == [1]


def test_a_hanging_and_a_broken_output_delay_nobody(bench: Bench) -> None:
    hanging, broken, good = Scripted("hanging"), Scripted("broken"), Scripted("good")
    hanging.gate.clear()
    broken.fault = OSError("no such device")
    board = Switchboard([bench.lane(output, queue=5) for output in (hanging, broken, good)])
    for n in range(50):
        board.tell(told(n))
        wait_for(lambda n=n: len(good.answers) == n + 1)  # type: ignore[misc]
    assert good.sequences == list(range(50))
    assert hanging.answers == broken.answers == []
    assert [trouble.split()[1] for trouble in board.troubles()] == ["broken"]
    hanging.gate.set()


def test_heartbeats_count_and_say_why_no_part_can_be_judged(bench: Bench) -> None:
    output = Scripted()
    bench.unready = "no model is installed yet"
    bench.lane(output, beat=0.01)
    wait_for(lambda: len(output.pulses) >= 3)
    assert [pulse.count for pulse in output.pulses[:3]] == [1, 2, 3]
    assert output.pulses[0].unready == "no model is installed yet"
    bench.unready = None
    wait_for(lambda: output.pulses[-1].unready is None)


def test_the_heartbeat_stands_still_while_inspection_hangs_and_says_why(bench: Bench) -> None:
    output = Scripted()
    bench.lane(output, beat=0.01)
    wait_for(lambda: output.pulses)
    bench.well, bench.unready = False, "the inspection has not ended"
    wait_for(lambda: output.pulses[-1].unready is not None)
    seen, last = len(output.pulses), output.pulses[-1]
    wait_for(lambda: len(output.pulses) >= seen + 10)
    assert set(output.pulses[seen:]) == {last}
    bench.well = True
    wait_for(lambda: output.pulses[-1].count > last.count)


def test_closing_delivers_what_waits_and_lets_go(bench: Bench) -> None:
    output = Scripted()
    lane = bench.lane(output)
    wait_for(lambda: output.opened)
    output.gate.clear()
    for n in range(4):
        lane.tell(told(n))
    closing = threading.Thread(target=lane.close)
    closing.start()
    output.gate.set()
    closing.join(30)
    assert output.sequences == [0, 1, 2, 3]
    assert output.closed == 1
