"""The fleet's month: drifts are recovered, dirt is not retrained, and passing over quiet minutes changes nothing."""

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.drift import fleet
from benchmarks.drift.false_alarms import learn
from benchmarks.drift.plant import Plant, Truth, calendar
from benchmarks.drift.site import DAY, Site
from benchmarks.drift.upset import Upset


def planted(seed: int, cameras: int, upset: Callable[..., Upset] | None, *, watchful: bool = False) -> Site:
    rng = np.random.default_rng(seed)
    plant, minutes = Plant(rng, Truth(rng, cameras), 10.0), calendar(6, changeovers=False)
    learners, day = learn(plant, minutes, cameras)
    sigma = np.sqrt(np.diag(np.array(learners[0].profile.covariance)))  # type: ignore[union-attr]
    what = None if upset is None else upset(rng, sigma, day)
    return Site(rng, plant, minutes, learners, day, judge=lambda: None, upset=what, watchful=watchful)


def tomorrow(kind: str) -> Callable[..., Upset]:
    def upset(rng: np.random.Generator, sigma: np.ndarray, day: int) -> Upset:
        begins = (day + 1) * DAY + 600
        return Upset((0,), fleet._shift(rng, sigma, kind), lambda at: at >= begins)

    return upset


def test_a_drift_is_recovered_with_one_retrain_and_passing_over_quiet_minutes_changes_nothing() -> None:
    quick, full = (planted(1, 1, tomorrow("embedding"), watchful=watchful) for watchful in (False, True))
    fleet.run([quick], 12)
    fleet.run([full], 2)
    assert quick.recovered
    assert len(quick.tally.orders) == len(quick.tally.releases) == 1
    assert quick.tally.incidents == full.tally.incidents
    assert quick.tally.orders == full.tally.orders
    assert quick.tally.windows < full.tally.windows / 2


def test_dirt_on_one_of_two_cameras_is_a_ticket() -> None:
    site = planted(2, 2, tomorrow("image"))
    fleet.run([site], 4)
    assert site.tally.tickets == 1
    assert site.tally.orders == []
    assert site.state.incident is None


@pytest.mark.parametrize(("minutes", "most"), [([], 0), ([0, 24 * 60], 1), ([0, 24 * 60 - 1], 2)])
def test_a_change_a_cool_down_later_is_not_in_it(minutes: list[int], most: int) -> None:
    assert fleet.most_within(minutes, 24 * 60.0) == most
