"""A month of a fleet under the real rules: without drift, with one at each of twenty cameras, with ill cameras, and
with a metric that goes to and fro around its limit.

A hundred cameras, each model's under the wander of one memory in turn (10 s, 10 min, 1 h, 8 h), over shifts, nights and
weekends: sixty lines with one camera of their own model and twenty with two. The thirty days begin when a model's
cameras have learned. What is simulated is the line, the raters (four answers a minute, one in a hundred wrong), the
trainer (three hours) and what a candidate is (`gate.outcome`); everything between is `site.Site`.
"""

from __future__ import annotations

import argparse
import heapq
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift import gate
from benchmarks.drift.false_alarms import MEMORIES, learn
from benchmarks.drift.plant import NAMES, Plant, Truth, calendar
from benchmarks.drift.site import DAY, Site
from benchmarks.drift.upset import Upset
from benchmarks.harness import Measured
from contracts.report import Figure
from drift.vector import group_of
from monitor.rules.settings import RuleSettings

Floats = NDArray[np.floating[Any]]

DAYS = 30
_WEEKS = 12  # of the calendar: a commissioning of up to six before the month
_LONE, _PAIRS, _DRIFTS, _ILL, _OSCILLATING = 60, 20, 20, 10, 3
_OSCILLATES = 14  # days
_SIZES = (3.0, 6.0)  # of a drift, in standard deviations of window means, entry by entry
_SECONDS_A_LABEL, _MINUTES_A_CLICK, _CLICKS = 5.0, 3.0, 2  # assumed: to read an incident, to approve a release
_TALL = {"good": 300, "scratch": 100}


def measure(options: argparse.Namespace) -> Measured:
    """The month without drift, with drifts, with ill cameras, with an oscillation."""
    quick = options.quick
    rng = np.random.default_rng([options.seed, 500])
    lone, pairs = (4, 1) if quick else (_LONE, _PAIRS)
    calm = [site(rng, 1, n) for n in range(lone)] + [site(rng, 2, n) for n in range(pairs)]
    figures = _calm(run(calm, DAYS))
    drifted = [site(rng, 1, n, upset=drifting) for n in range(2 if quick else _DRIFTS)]
    figures += _recovered(run(drifted, DAYS))
    ill = [site(rng, 2, n, upset=dirty) for n in range(1 if quick else _ILL)]
    figures += _ill(run(ill, DAYS))
    restless = [site(rng, 1, n, upset=oscillating) for n in range(1 if quick else _OSCILLATING)]
    return Measured([*figures, *_oscillating(run(restless, _OSCILLATES))])


def site(rng: np.random.Generator, cameras: int, number: int, *, upset: Callable[..., Upset] | None = None) -> Site:
    """A model's cameras once they have learned, a day before the month begins."""
    memory = list(MEMORIES.values())[number % len(MEMORIES)]
    plant = Plant(rng, Truth(rng, cameras), memory)
    minutes = calendar(_WEEKS, changeovers=False)
    learners, day = learn(plant, minutes, cameras)
    profile = learners[0].profile
    assert profile is not None  # noqa: S101  learned
    sigma = np.sqrt(np.diag(np.array(profile.covariance)))
    planned = None if upset is None else upset(rng, sigma, day)
    return Site(rng, plant, minutes, learners, day, judge=lambda: _judged(rng), upset=planned)


def _judged(rng: np.random.Generator) -> str | None:
    """Of a candidate that is as good at home and better on what it was retrained for; a person who is asked agrees."""
    return "refused" if gate.outcome(rng, gate.Truth(), _TALL) == "refused" else None


def drifting(rng: np.random.Generator, sigma: Floats, day: int) -> Upset:
    """The parts change for good, on one of the first ten days."""
    begins = day * DAY + int(rng.integers(DAY, 10 * DAY))
    return Upset((0,), _shift(rng, sigma, "embedding"), lambda at: at >= begins)


def dirty(rng: np.random.Generator, sigma: Floats, day: int) -> Upset:
    """The picture of one of two cameras changes until it is cleaned; its verdicts suffer too."""
    begins = day * DAY + int(rng.integers(DAY, 10 * DAY))
    return Upset((0,), _shift(rng, sigma, "image"), lambda at: at >= begins)


def oscillating(rng: np.random.Generator, sigma: Floats, day: int) -> Upset:
    """The parts change to and fro every quarter of an hour to every three hours, by about the limit."""
    ends = day * DAY + np.cumsum(rng.integers(15, 180, size=_OSCILLATES * DAY // 15))
    return Upset((0,), _shift(rng, sigma, "embedding"), lambda at: np.searchsorted(ends, at) % 2 == 1)


def _shift(rng: np.random.Generator, sigma: Floats, group: str) -> Floats:
    chosen = np.array([group_of(name) == group for name in NAMES])
    return np.where(chosen, rng.uniform(*_SIZES) * sigma * rng.choice([-1.0, 1.0], size=len(NAMES)), 0.0)


def run(sites: Sequence[Site], days: int) -> Sequence[Site]:
    """All sites side by side, each for so many days: their trainings share one cap."""
    ends = [one.began + days * DAY for one in sites]
    heap = [(one.next_minute(one.began), place) for place, one in enumerate(sites)]
    heapq.heapify(heap)
    while heap:
        minute, place = heapq.heappop(heap)
        if minute < ends[place]:
            elsewhere = sum(one.training for one in sites) - sites[place].training
            sites[place].advance(minute, training_elsewhere=elsewhere)
            heapq.heappush(heap, (sites[place].next_minute(minute + 1), place))
    return sites


def _calm(sites: Sequence[Site]) -> list[Figure]:
    cameras = sum(len(one.state.cameras) for one in sites)
    incidents = sum(len(one.tally.incidents) for one in sites)
    note = f"{DAYS} days x {cameras} cameras without drift, 50 audit labels a camera-day"
    return [
        Figure(
            name="fleet_retrains_without_drift",
            value=sum(len(one.tally.orders) for one in sites),
            unit="retrains",
            note=f"{note}; {incidents} incidents, {sum(one.tally.answers for one in sites)} questions answered",
        )
    ]


def _recovered(sites: Sequence[Site]) -> list[Figure]:
    tallies = [one.tally for one in sites]
    recovered = [one for one in sites if one.recovered]
    hours = [(tally.releases[0] - tally.incidents[0]) / 60.0 for tally in tallies if tally.releases]
    answers = [tally.answers for tally in tallies if tally.releases]
    people = [count * _SECONDS_A_LABEL / 60.0 + _CLICKS * _MINUTES_A_CLICK for count in answers]
    again = [(tally.learned[0] - tally.releases[0]) / DAY for tally in tallies if tally.learned]
    note = f"a drift at each of {len(sites)} cameras within {DAYS} days, 30 % of the verdicts wrong"
    told = "released, error as tolerated again, no incident open, camera commissioned anew"
    assumed = f"{_SECONDS_A_LABEL:.0f} s a label and {_CLICKS} clicks of {_MINUTES_A_CLICK:.0f} min are assumed"
    return [
        Figure(name="fleet_not_recovered", value=len(sites) - len(recovered), unit="cameras", note=f"{note}; {told}"),
        Figure(
            name="fleet_retrains_of_one_drift",
            value=max(len(tally.orders) for tally in tallies),
            unit="retrains",
            note=f"the most of {len(sites)}; {sum(len(tally.orders) for tally in tallies)} in all",
        ),
        _median(
            "fleet_hours_alarm_to_promotion", hours, "h", "simulated: 4 answers a minute, 3 h training, 2 h shadow"
        ),
        _median("fleet_days_until_watched_again", again, "days", "commissioning of the new release"),
        _median("fleet_labels_alarm_to_promotion", answers, "labels", "random and picked ones"),
        _median("fleet_person_minutes_alarm_to_promotion", people, "min", assumed),
    ]


def _median(name: str, values: Sequence[float], unit: str, note: str) -> Figure:
    if not values:
        return Figure(name=name, value=None, unit=unit, note=note)
    note = f"median, least and most of {len(values)}; {note}"
    interval = (float(min(values)), float(max(values)))
    return Figure(name=name, value=float(np.median(values)), unit=unit, interval=interval, note=note)


def _ill(sites: Sequence[Site]) -> list[Figure]:
    tickets = sum(one.tally.tickets for one in sites)
    note = f"dirt on one of two cameras of {len(sites)} lines, cleaned 4 h after the ticket; {tickets} tickets"
    retrains = sum(len(one.tally.orders) for one in sites)
    return [Figure(name="fleet_retrains_for_ill_cameras", value=retrains, unit="retrains", note=note)]


def _oscillating(sites: Sequence[Site]) -> list[Figure]:
    cool = RuleSettings().cool_down_hours
    changes = [sorted(one.tally.releases) for one in sites]
    orders = [sorted(one.tally.orders) for one in sites]
    note = f"{len(sites)} cameras over {_OSCILLATES} days that drift to and fro; {sum(map(len, orders))} retrains"
    most = max(most_within(each, cool * 60.0) for each in (*changes, *orders))
    return [
        Figure(
            name="fleet_changes_in_a_cool_down",
            value=most,
            unit="changes",
            note=f"retrains, or releases, of one model within {cool:.0f} h, the most; {note}, "
            f"{sum(map(len, changes))} releases, {sum(len(one.tally.incidents) for one in sites)} incidents",
        )
    ]


def most_within(minutes: Sequence[int], span: float) -> int:
    """The largest number of `minutes` (sorted) that lie less than `span` apart.

    >>> most_within([0, 10, 25, 29], 20)
    3
    """
    return max((sum(0 <= other - first < span for other in minutes) for first in minutes), default=0)
