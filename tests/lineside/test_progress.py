"""How far long work is, and for how long: steady where the pace is not."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from rich.progress import Progress

from lineside.progress import LeftColumn, PlainProgress
from lineside.time_left import TimeLeft


def ticks(*seconds: float) -> Iterator[float]:
    yield from seconds


def test_log_gets_a_line_for_a_stage_a_twentieth_and_half_a_minute() -> None:
    said: list[str] = []
    progress = PlainProgress(said.append, ticks(0, 1, 2, 3, 4, 50, 51).__next__)
    progress("looking", 0.0)
    progress("looking", 0.01)
    progress("looking", 0.06)
    progress("training", 0.07)
    progress("training", 0.08)
    progress("training", 0.12)
    progress("training", 0.02)  # it begins anew
    assert said == [
        "  0% looking",
        "  6% looking",
        "  7% training",
        " 12% training, about 14 min left",
        "  2% training",
    ]


def test_log_does_not_say_twice_what_is_left() -> None:
    said: list[str] = []
    progress = PlainProgress(said.append, ticks(0, 100).__next__)
    progress("tuning", 0.0)
    progress("tuning", 0.5, "3 of 6, about 90 s left")
    assert said[-1] == " 50% tuning 3 of 6, about 90 s left"


def forecasts(left: TimeLeft, stage: str, shares: tuple[float, float], seconds: tuple[float, float]) -> list[float]:
    """The second at which it expects the end, after each of a hundred even steps."""
    found = []
    for step in range(1, 101):
        share, now = (low + (high - low) * step / 100 for low, high in (shares, seconds))
        left.told(stage, share, now)
        if (still := left.seconds(now)) is not None:
            found.append(now + still)
    return found


def test_nothing_is_said_before_a_pace_is_known() -> None:
    left = TimeLeft()
    left.told("training", 0.0, 0.0)
    left.told("training", 0.04, 60.0)
    assert left.seconds(60.0) is None
    left.told("training", 0.05, 75.0)
    assert left.seconds(75.0) == 75.0 * 19


def test_an_even_pace_has_one_end() -> None:
    ends = forecasts(TimeLeft(), "training", (0.0, 0.9), (0.0, 90.0))
    assert max(abs(end - ends[-1]) for end in ends) < 2.0


def test_a_change_of_pace_is_followed_without_a_jump() -> None:
    left = TimeLeft()
    forecasts(left, "features", (0.0, 0.4), (0.0, 40.0))  # all would take 100 s
    ends = forecasts(left, "training", (0.4, 0.9), (40.0, 540.0))  # ten times as slow
    steps = [later - earlier for earlier, later in pairwise(ends)]
    assert max(steps) < 100.0, "seen at once it would be 540 s"
    assert abs(ends[-1] - 640.0) < 30.0


def test_rounds_of_a_killed_run_do_not_make_the_rest_look_short() -> None:
    left = TimeLeft()
    left.told("features", 0.0, 0.0)
    left.told("training", 0.7, 1.0)  # two rounds were there already
    ends = forecasts(left, "training", (0.7, 0.9), (1.0, 201.0))
    assert abs(ends[0] - 301.0) < 5.0


def test_work_that_begins_anew_is_timed_anew() -> None:
    left = TimeLeft()
    forecasts(left, "training", (0.0, 1.0), (0.0, 10.0))
    left.told("training", 0.0, 10.0)
    assert left.seconds(10.0) is None
    ends = forecasts(left, "training", (0.0, 0.5), (10.0, 510.0))
    assert abs(ends[0] - 1010.0) < 5.0


def test_done_has_nothing_left_and_lateness_is_no_negative_time() -> None:
    left = TimeLeft()
    forecasts(left, "training", (0.0, 0.5), (0.0, 50.0))
    assert left.seconds(1000.0) == 0.0
    left.told("done", 1.0, 1000.0)
    assert left.seconds(1000.0) is None


def test_bar_counts_down_between_two_calls_and_keeps_its_width() -> None:
    left = TimeLeft()
    forecasts(left, "training", (0.0, 0.5), (0.0, 500.0))
    column = LeftColumn(left, ticks(500.0, 740.0).__next__)
    bars = Progress()
    bars.add_task("training", note="")
    shown = [column.render(bars.tasks[0]).plain for _ in range(2)]
    assert [text.strip() for text in shown] == ["about 8 min left", "about 4 min left"]
    assert len(set(map(len, shown))) == 1
