"""The handshake as values: every way through it, and that nothing but a verdict of this trigger is ever OK."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.frame import Decision
from edge_agent.outputs.handshake import (
    Code,
    Cycle,
    Levels,
    Phase,
    answered,
    failed,
    passed,
    readiness,
    written,
)

IDLE = readiness(Cycle(), None)
LOW = Levels()


def plc(cycle: Cycle, *, now: float = 0.0, **changes: object) -> Cycle:
    return written(cycle, replace(cycle.levels, **changes), now=now, deadline=1.0)  # type: ignore[arg-type]


BUSY = plc(IDLE, trigger=True, trigger_id=7, part_id="P-7")
DONE = answered(BUSY, Decision.OK, part_id="P-7", reason=None)


def seen(cycle: Cycle) -> tuple[bool, bool, bool, Code]:
    return cycle.ready, cycle.busy, cycle.result_ready, cycle.code


def test_a_part_goes_through_the_whole_cycle() -> None:
    assert seen(IDLE) == (True, False, False, Code.NONE)
    assert seen(BUSY) == (False, True, False, Code.NONE)
    assert seen(DONE) == (False, False, True, Code.OK)
    assert (DONE.part_id, DONE.trigger_id) == ("P-7", 7)
    cleared = plc(DONE, acknowledge=True)
    assert seen(cleared) == (False, False, False, Code.NONE)
    assert (cleared.part_id, cleared.trigger_id) == ("", 0)
    assert not plc(cleared, trigger=False).ready
    assert not plc(cleared, acknowledge=False).ready
    again = plc(plc(cleared, trigger=False), acknowledge=False)
    assert seen(again) == (True, False, False, Code.NONE)
    assert plc(again, trigger=True).busy


@pytest.mark.parametrize(
    ("decision", "code"),
    [
        (Decision.OK, 1),
        (Decision.NG, 2),
        (Decision.REVIEW, 3),
        (Decision.NO_VERDICT, 4),
    ],
)
def test_each_decision_has_a_number_and_none_is_zero(decision: Decision, code: int) -> None:
    assert answered(BUSY, decision, part_id="P-7", reason=None).code == code
    assert Code.NONE == 0


def test_the_trigger_may_fall_as_soon_as_busy_is_seen() -> None:
    assert answered(plc(BUSY, trigger=False), Decision.NG, part_id="P-7", reason=None).code is Code.NG


def test_without_a_verdict_in_time_there_is_none() -> None:
    assert passed(BUSY, 1.0) == BUSY
    late = passed(BUSY, 1.001)
    assert (late.result_ready, late.code, late.trigger_id) == (True, Code.NO_VERDICT, 7)
    assert answered(late, Decision.OK, part_id="P-7", reason=None) == late


def test_a_trigger_while_not_ready_gets_no_verdict_and_the_reason() -> None:
    cycle = plc(readiness(IDLE, "no model is installed yet"), trigger=True, trigger_id=3)
    assert (cycle.code, cycle.reason, cycle.trigger_id) == (Code.NO_VERDICT, "no model is installed yet", 3)
    assert answered(cycle, Decision.OK, part_id="P", reason=None) == cycle


def test_a_part_under_way_is_finished_when_readiness_goes() -> None:
    cycle = readiness(BUSY, "the disk is full")
    assert cycle.busy
    assert failed(cycle, "the disk is full").code is Code.NO_VERDICT


@pytest.mark.parametrize("before", [plc(BUSY, trigger=False), plc(DONE, trigger=False)])
def test_a_second_trigger_before_the_acknowledge_gets_no_verdict(before: Cycle) -> None:
    second = plc(before, trigger=True, trigger_id=8, part_id="P-8")
    assert (second.code, second.trigger_id, second.part_id) == (Code.NO_VERDICT, 8, "P-8")
    assert answered(second, Decision.OK, part_id="P-7", reason=None) == second


def test_a_trigger_while_acknowledge_is_high_gets_no_verdict() -> None:
    assert plc(plc(IDLE, acknowledge=True), trigger=True).code is Code.NO_VERDICT
    assert plc(plc(plc(DONE, acknowledge=True), trigger=False), trigger=True).code is Code.NO_VERDICT


def test_acknowledge_abandons_a_part_so_that_a_restarted_plc_can_begin() -> None:
    left = plc(BUSY, acknowledge=True)
    assert (left.phase, left.code) == (Phase.CLEARING, Code.NONE)
    assert answered(left, Decision.OK, part_id="P-7", reason=None) == left
    assert plc(left, trigger=False, acknowledge=False).ready


def test_a_level_written_again_is_no_edge() -> None:
    assert plc(BUSY, trigger=True, trigger_id=9).trigger_id == 7
    assert plc(BUSY, trigger=True).busy


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("plc"), st.booleans(), st.booleans()),
        st.tuples(st.just("verdict"), st.booleans(), st.booleans()),
        st.tuples(st.just("time"), st.booleans(), st.booleans()),
        st.tuples(st.just("unready"), st.booleans(), st.booleans()),
    ),
    max_size=30,
)


@given(EVENTS)
def test_ok_is_only_ever_read_for_a_trigger_whose_own_image_was_ok(events: list[tuple[str, bool, bool]]) -> None:
    """The verdict is handed over with the trigger it was made for, as the server does; all orders of events."""
    cycle, number, now = IDLE, 0, 0.0
    waiting_for: int | None = None
    good: set[int] = set()
    for kind, one, other in events:
        if kind == "plc":
            number += 1
            cycle = plc(cycle, now=now, trigger=one, acknowledge=other, trigger_id=number)
        elif kind == "verdict" and cycle.busy and waiting_for == cycle.trigger_id:
            if one:
                good.add(cycle.trigger_id)
            cycle = answered(cycle, Decision.OK if one else Decision.NG, part_id="P", reason=None)
        elif kind == "time":
            now += 0.7
            cycle = passed(cycle, now)
        elif kind == "unready":
            cycle = readiness(cycle, "no model" if one else None)
        waiting_for = cycle.trigger_id if cycle.busy else None
        assert sum((cycle.ready, cycle.busy, cycle.result_ready)) <= 1
        assert cycle.result_ready == (cycle.code is not Code.NONE)
        if cycle.code is Code.OK:
            assert cycle.trigger_id in good
