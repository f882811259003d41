"""When a retrain may run."""

from datetime import datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.rules.governor import GovernorVerdict, Jobs, RetrainWish, Ruling, govern
from monitor.rules.settings import MaintenanceWindow, RuleSettings
from tests.simulators.planted_model import START

READY: dict[str, Any] = {
    "labels": 240,
    "labels_per_side": {"good": 140, "defect": 60},
    "affected_sides": ("defect",),
}


def ruled(attempts: tuple[datetime, ...] = (), settings: RuleSettings | None = None, **wish: Any) -> GovernorVerdict:
    jobs = Jobs(**{name: wish.pop(name) for name in Jobs.model_fields if name in wish})
    return govern(RetrainWish(**{**READY, **wish}), attempts, START, settings or RuleSettings(), jobs)


def codes(verdict: GovernorVerdict) -> list[str]:
    return [reason.code for reason in verdict.reasons]


def test_enough_labels_and_nothing_else_going_on_means_go() -> None:
    assert ruled().ruling is Ruling.GO


def test_too_few_labels_wait_and_say_how_many_are_missing() -> None:
    verdict = ruled(labels=150)
    assert (verdict.ruling, codes(verdict), verdict.lacking) == (Ruling.WAIT, ["governor-few-labels"], {"any": 90})


def test_the_failed_side_needs_its_own_labels() -> None:
    verdict = ruled(labels_per_side={"good": 190, "defect": 10})
    assert (codes(verdict), verdict.lacking) == (["governor-few-of-side"], {"defect": 10})
    assert ruled(labels_per_side={"good": 190, "defect": 10}, affected_sides=("good",)).ruling is Ruling.GO


def test_240_labels_with_30_percent_defects_of_three_kinds_suffice() -> None:
    assert ruled(labels_per_side={"good": 140, "defect": 60}, affected_sides=("good", "defect")).ruling is Ruling.GO


def test_cool_down_says_until_when() -> None:
    verdict = ruled((START - timedelta(hours=23),))
    assert codes(verdict) == ["governor-cool-down"]
    assert verdict.until == START + timedelta(hours=1)
    assert ruled((START - timedelta(hours=24),)).ruling is Ruling.GO


def test_one_job_per_model_and_a_cap_over_all() -> None:
    assert codes(ruled(here=1)) == ["governor-running"]
    assert codes(ruled(everywhere=2)) == ["governor-cap"]
    assert ruled(everywhere=1).ruling is Ruling.GO


def test_three_retrains_in_seven_days_leave_the_fourth_to_a_person() -> None:
    attempts = tuple(START - timedelta(days=days) for days in (6, 4, 2))
    assert ruled(attempts).ruling is Ruling.PERSON
    older = (START - timedelta(days=7), *attempts[1:])
    assert ruled(older).ruling is Ruling.GO


def test_after_a_refusal_new_labels_are_needed() -> None:
    assert codes(ruled(labels_since_attempt=10)) == ["governor-nothing-new"]
    assert ruled(labels_since_attempt=50).ruling is Ruling.GO


def test_every_reason_is_given_not_just_the_first() -> None:
    verdict = ruled((START - timedelta(hours=1),), labels=10, everywhere=5)
    assert codes(verdict) == ["governor-few-labels", "governor-cool-down", "governor-cap"]
    assert verdict.until is None


@pytest.mark.parametrize(
    ("from_", "to", "at", "covered"),
    [
        (time(22), time(6), START.replace(hour=23), True),
        (time(22), time(6), START.replace(hour=5), False),  # Monday morning belongs to Sunday's window
        (time(22), time(6), (START + timedelta(days=1)).replace(hour=5), True),
        (time(8), time(9), START.replace(hour=8), True),
        (time(8), time(9), START.replace(hour=9), False),
    ],
)
def test_maintenance_windows_hold_a_retrain_also_past_midnight(
    from_: time, to: time, at: datetime, covered: bool
) -> None:
    settings = RuleSettings(maintenance=(MaintenanceWindow(weekdays=(0,), from_=from_, to=to),))
    verdict = govern(RetrainWish(**READY), (), at, settings, Jobs())
    assert (verdict.ruling is Ruling.WAIT) is covered


@given(
    st.lists(st.floats(0, 24 * 30), max_size=200),
    st.integers(0, 400),
    st.integers(0, 60),
)
def test_whatever_is_wished_for_no_model_trains_more_than_three_times_a_week_or_twice_a_day(
    hours: list[float], labels: int, defects: int
) -> None:
    attempts: tuple[datetime, ...] = ()
    for hour in sorted(hours):
        at = START + timedelta(hours=hour)
        wish = RetrainWish(labels=labels, labels_per_side={"defect": defects}, affected_sides=("defect",))
        if govern(wish, attempts, at, RuleSettings(), Jobs()).ruling is Ruling.GO:
            assert labels >= 200
            assert defects >= 20
            attempts = (*attempts, at)
    for i, at in enumerate(attempts):
        assert sum(timedelta(0) <= at - other < timedelta(days=7) for other in attempts) <= 3
        assert i == 0 or at - attempts[i - 1] >= timedelta(hours=24)
