"""Work beside the line: at full speed while nothing comes, slowly while images come."""

from __future__ import annotations

import threading

import pytest

from edge_agent.courtesy import Courtesy


class Line:
    """A line whose last image was so many seconds ago."""

    idle = 0.0

    def __call__(self) -> float:
        return self.idle


class Stopping(threading.Event):
    """Notes how long somebody would have waited."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout)
        return False


def test_while_images_come_work_takes_its_share_of_the_time() -> None:
    assert Courtesy(lambda: 0.0, share=0.25).rest_seconds(0.1) == pytest.approx(0.3)


def test_while_nothing_comes_it_goes_at_full_speed() -> None:
    line = Line()
    courtesy = Courtesy(line)
    assert courtesy.rest_seconds(0.01) > 0
    line.idle = 60.0
    assert courtesy.rest_seconds(0.01) == 0.0


def test_something_that_takes_for_ever_is_no_reason_to_rest_for_ever() -> None:
    assert Courtesy(lambda: 0.0).rest_seconds(3600.0) < 1.0


def test_a_rest_ends_when_the_agent_stops() -> None:
    stopping = Stopping()
    Courtesy(lambda: 0.0, share=0.5).rest(0.1, stopping)
    assert stopping.waited == [pytest.approx(0.1)]


def test_images_pass_before_a_timed_inference_and_nobody_waits_for_none() -> None:
    line, slept = Line(), list[float]()
    courtesy = Courtesy(line, sleep=slept.append)
    courtesy.breathe()
    line.idle = 60.0
    courtesy.breathe()
    assert len(slept) == 1


def test_while_images_wait_work_beside_the_line_all_but_stops_until_they_no_longer_do() -> None:
    line, slept = Line(), list[float]()
    courtesy = Courtesy(line, share=0.5, sleep=slept.append)
    courtesy.breathe()
    for _ in range(40):
        courtesy.note_wait(0.05)
    assert courtesy.line_is_behind
    assert courtesy.rest_seconds(0.001) == pytest.approx(0.5)
    courtesy.breathe()
    assert slept[1] > slept[0]
    for _ in range(40):
        courtesy.note_wait(0.0)
    assert not courtesy.line_is_behind
    assert courtesy.rest_seconds(0.001) == pytest.approx(0.001)


def test_a_single_image_that_waited_is_no_reason_and_a_line_that_has_ended_holds_nobody_up() -> None:
    line = Line()
    courtesy = Courtesy(line)
    courtesy.note_wait(0.05)
    assert not courtesy.line_is_behind
    for _ in range(40):
        courtesy.note_wait(0.05)
    line.idle = 60.0
    assert not courtesy.line_is_behind
    assert courtesy.rest_seconds(0.01) == 0.0
