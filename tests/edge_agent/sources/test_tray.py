"""Which frames become pictures, and how they are numbered: values in, values out, no threads."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest

from contracts.errors import QuotaError
from edge_agent.sources.device import Picture
from edge_agent.sources.tray import LINE_QUEUE, MOST_TRIGGERS, Pace, Tray

IMAGE = np.zeros((8, 8, 3), np.uint8)


class Bench:
    """A tray whose clock stands still until it is moved."""

    def __init__(self, pace: Pace) -> None:
        self.now = 100.0
        self.passed_over = 0
        numbers = count()
        self.tray = Tray(pace, draw=lambda: next(numbers), passed_over=self._pass_over, clock=lambda: self.now)

    def _pass_over(self) -> None:
        self.passed_over += 1

    def frame(self, *, after: float = 0.0, lost: int = 0) -> bool:
        """A frame is grabbed; says whether it was wanted (and then put)."""
        self.now += after
        wanted = self.tray.wants(self.now)
        if wanted:
            self.tray.put(Picture(IMAGE, lost=lost), self.now)
        return wanted

    def taken(self) -> list[int | None]:
        """Numbers of all pictures that can be taken now."""
        found = []
        while (taken := self.tray.take()) is not None:
            shot, trigger = taken
            found.append(shot.sequence if trigger is None else trigger.sequence)
        return found


def test_in_time_the_first_frame_at_or_after_each_due_time_is_wanted() -> None:
    bench = Bench(Pace("time", every_seconds=1.0))
    assert [bench.frame(after=0.25) for _ in range(9)] == [True, False, False, False, True, False, False, False, True]


def test_only_the_newest_waits_and_the_one_it_replaces_leaves_a_gap() -> None:
    bench = Bench(Pace("time", every_seconds=0.0))
    bench.frame(), bench.frame(), bench.frame()
    assert bench.taken() == [2]
    bench.frame()
    assert bench.taken() == [3]
    assert bench.passed_over == 2


def test_frames_between_two_due_times_have_no_number() -> None:
    bench = Bench(Pace("time", every_seconds=1.0))
    for _ in range(3):
        bench.frame(after=1.0)
        assert [bench.frame(after=0.1) for _ in range(5)] == [False] * 5
        bench.taken()
    bench.frame(after=1.0)
    assert bench.taken() == [3]


@pytest.mark.parametrize(
    ("pace", "numbers"),
    [(Pace("line"), [0, 3]), (Pace("time", every_seconds=0.0), [0, 3]), (Pace("time", every_seconds=1.0), [0, 1])],
)
def test_what_a_device_says_it_lost_leaves_a_gap_where_every_frame_was_due(pace: Pace, numbers: list[int]) -> None:
    bench = Bench(pace)
    bench.frame()
    first = bench.taken()
    bench.frame(after=1.0, lost=2)
    assert first + bench.taken() == numbers


def test_pictures_of_the_cameras_own_trigger_wait_and_the_oldest_is_lost() -> None:
    bench = Bench(Pace("line", every_seconds=1.0))
    for _ in range(LINE_QUEUE + 2):
        assert bench.frame()
    assert bench.taken() == list(range(2, LINE_QUEUE + 2))


def test_a_trigger_gets_the_first_frame_after_it_and_none_before() -> None:
    bench = Bench(Pace("software"))
    assert not bench.frame()
    trigger = bench.tray.ask("P-1")
    assert bench.tray.take() is None
    assert bench.frame(after=0.1)
    assert not bench.frame(after=0.1)
    taken = bench.tray.take()
    assert taken is not None
    assert taken[1] is trigger


def test_two_triggers_before_one_frame_both_get_it_under_their_own_numbers() -> None:
    bench = Bench(Pace("software"))
    bench.tray.ask("P-1"), bench.tray.ask("P-2")
    bench.frame(after=0.1)
    assert bench.taken() == [0, 1]


def test_a_picture_is_of_its_triggers_moment_even_when_it_is_taken_late() -> None:
    bench = Bench(Pace("software"))
    bench.tray.ask("P-1")
    bench.frame(after=0.1)
    first = bench.tray.ask("P-2")
    bench.frame(after=0.1)
    bench.now += 60.0
    assert bench.taken() == [0, 1]
    assert first.shot is not None


def test_too_many_triggers_are_refused_and_missed() -> None:
    bench = Bench(Pace("software"))
    for number in range(MOST_TRIGGERS):
        bench.tray.ask(f"P-{number}")
    with pytest.raises(QuotaError, match="faster than pictures"):
        bench.tray.ask("P-too-many")
    bench.frame(after=0.1)
    bench.taken()
    bench.tray.ask("P-next")
    bench.frame(after=0.1)
    assert bench.taken() == [MOST_TRIGGERS + 1]


def test_triggers_expire_by_age_or_all_at_once() -> None:
    bench = Bench(Pace("software"))
    old = bench.tray.ask("P-1")
    bench.now += 5.0
    young = bench.tray.ask("P-2")
    assert bench.tray.expire(bench.now - 1.0) == [old]
    assert bench.tray.expire(None) == [young]
    assert bench.tray.expire(None) == []


def test_a_file_gives_every_frame_and_keeps_the_pace() -> None:
    bench = Bench(Pace("time", every_seconds=1.0, every_frame_waits=True))
    bench.tray.put(Picture(IMAGE), bench.now)
    assert bench.taken() == [None]
    bench.tray.put(Picture(IMAGE), bench.now)
    assert bench.taken() == []
    bench.now += 1.0
    assert bench.taken() == [None]


def test_a_file_moves_on_by_one_frame_for_each_trigger() -> None:
    bench = Bench(Pace("software", every_frame_waits=True))
    bench.tray.put(Picture(IMAGE), bench.now)
    assert bench.taken() == []
    bench.tray.ask("P-1")
    assert bench.taken() == [0]
    bench.tray.ask("P-2")
    assert bench.taken() == []


def test_nothing_is_asked_of_a_tray_that_is_closed() -> None:
    bench = Bench(Pace("software"))
    bench.tray.close()
    with pytest.raises(QuotaError, match="stopping"):
        bench.tray.ask("P-1")
