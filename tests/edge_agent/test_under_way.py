"""An image that does not come to an end is noticed, stopped, and in the end a reason to start anew."""

from __future__ import annotations

import threading
from typing import Any, cast

import pytest

from edge_agent.deadline import Deadlines
from edge_agent.inspection import Inspector
from edge_agent.under_way import UnderWay


class Hanging:
    """An inspector whose network is told to stop."""

    def __init__(self) -> None:
        self.session: Any = self
        self.stopped: list[int] = []

    def stop(self, thread: int) -> None:
        self.stopped.append(thread)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def under_way(clock: Clock) -> UnderWay:
    return UnderWay(Deadlines(10.0, {"quick": 0.5}), clock)


def begin(under_way: UnderWay, camera: str = "camera-1") -> Hanging:
    hanging = Hanging()
    under_way.begin(camera, cast(Inspector, hanging))
    return hanging


def test_the_line_is_idle_from_the_end_of_its_last_image(under_way: UnderWay, clock: Clock) -> None:
    clock.now = 3.0
    assert under_way.idle_seconds() == 3.0
    begin(under_way)
    clock.now = 4.0
    assert under_way.idle_seconds() == 0.0
    under_way.end()
    clock.now = 6.0
    assert under_way.idle_seconds() == 2.0


def test_an_image_within_its_deadline_is_left_alone(under_way: UnderWay, clock: Clock) -> None:
    begin(under_way)
    clock.now = 10.9
    assert under_way.hanging() is None
    assert [under_way.stop() for _ in range(3)] == [[], [], []]


def test_an_image_that_hangs_is_stopped_once_when_it_is_found_so_twice(under_way: UnderWay, clock: Clock) -> None:
    hanging = begin(under_way, "quick")
    clock.now = 2.0
    assert "camera quick has not ended for 2 s" in str(under_way.hanging())
    assert [len(under_way.stop()) for _ in range(4)] == [0, 1, 0, 0]
    assert hanging.stopped == [threading.get_ident()]


def test_a_machine_that_has_slept_stops_nothing(under_way: UnderWay, clock: Clock) -> None:
    hanging = begin(under_way)
    clock.now = 3600.0
    assert under_way.stop() == []
    under_way.end()
    assert under_way.stop() == []
    assert hanging.stopped == []


def test_an_image_that_goes_on_although_it_was_stopped_is_stuck(under_way: UnderWay, clock: Clock) -> None:
    begin(under_way)
    clock.now = 12.0
    under_way.stop()
    under_way.stop()
    clock.now = 31.0
    assert under_way.stuck() is None
    clock.now = 33.0
    assert under_way.stuck() == "the inspection of an image of camera camera-1 has not ended for 33 s"
    under_way.end()
    assert under_way.stuck() is None
