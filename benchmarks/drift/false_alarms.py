"""How often the deployed rule raises a drift where there is none, for each memory of the wander, and how soon where
there is one, at that rate.

Cameras learn for as long as their profile asks for (`drift.profile.Commissioning`), then are watched over weeks with
shifts, nights, weekends, warm-ups, and every other fleet with hourly changeovers. A camera-month is as many minutes at
work as a month has minutes. A profile of 300 windows, at the level that unrelated windows have, watches the same
minutes: what a short commissioning would cost.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.plant import NAMES, Minutes, Plant, Truth, calendar
from benchmarks.drift.watch import Learner, Watch, key, settled
from benchmarks.harness import Measured
from contracts.report import Figure
from drift.profile import Commissioning
from drift.quantile import chi2_quantile
from drift.vector import group_of

Floats = NDArray[np.floating[Any]]

MEMORIES = {"10_s": 1 / 6, "10_min": 10.0, "1_h": 60.0, "8_h": 480.0}  # minutes
MONTH = 365.25 / 12 * 24 * 60  # minutes
_CYCLE_HOURS = 168.0
_DAY = 24 * 60
_WATCHED_DELAY = 480  # windows, after which a planted shift counts as missed
_PLANTS = 10  # of each shift and camera
SIZES = (2, 3, 5)
GROUPS = ("image", "embedding", "class")


@dataclass
class Found:
    """What the fleets of one memory showed."""

    windows: int = 0
    drifts: int = 0
    before: int = 0
    learned_days: list[float] = field(default_factory=list)
    profile_bytes: int = 0
    delays: dict[tuple[str, int], list[int | None]] = field(default_factory=dict)
    slow_days: list[float] = field(default_factory=list)


def measure(options: argparse.Namespace) -> Measured:
    """False drifts a camera-month and delays, per memory."""
    years = 0.5 if options.quick else 20.5
    cameras = 6 if options.quick else 36
    figures: list[Figure] = []
    for place, (name, memory) in enumerate(MEMORIES.items()):
        found = Found()
        for changeovers in (False, True):
            rng = np.random.default_rng([options.seed, place, changeovers])
            watch_fleet(rng, found, memory, cameras, ceil(years * 12 * MONTH / 2 / cameras), changeovers=changeovers)
        figures += _figures(name, found)
    return Measured(figures)


def watch_fleet(
    rng: np.random.Generator, found: Found, memory: float, cameras: int, windows: int, *, changeovers: bool
) -> None:
    """Commission a fleet, watch `windows` windows of each camera, then plant shifts; adds to `found`."""
    truth = Truth(rng, cameras)
    plant = Plant(rng, truth, memory)
    minutes = calendar(10 + ceil(windows / (2_500 if changeovers else 7_000)), changeovers=changeovers)
    learners, day = learn(plant, minutes, cameras)
    watches = [Watch(learner.profile) for learner in learners if learner.profile is not None]
    before = [Watch(old.profile) for old in _learners_of_before(rng, truth, memory, minutes) if old.profile]
    found.learned_days += [learner.learned_at / _DAY for learner in learners]
    found.profile_bytes = max(found.profile_bytes, *(len(watch.windows.profile.model_dump_json()) for watch in watches))
    seen, last = 0, None
    while seen < windows:
        part = minutes.between(day * _DAY, (day + 7) * _DAY)
        ok = settled(part)
        means = plant.means(part)[:, ok]
        found.windows += means.shape[0] * means.shape[1]
        found.drifts += sum(watch.false_drifts(part.at[ok], row) for watch, row in zip(watches, means, strict=True))
        found.before += sum(watch.false_drifts(part.at[ok], row) for watch, row in zip(before, means, strict=True))
        seen, day, last = seen + means.shape[1], day + 7, means
    assert last is not None  # noqa: S101  a week was watched
    _plant_shifts(rng, found, truth, watches, last)
    days = (part.at[ok] - part.at[0]) / _DAY
    for camera, (watch, row) in enumerate(zip(watches, last, strict=True)):
        ramp = days[:, None] * _direction(rng, truth, camera, "image", row.std(axis=0))
        delay = watch.delay(row + ramp)
        found.slow_days.append(float(days[delay - 1]) if delay else 7.0)


def learn(plant: Plant, minutes: Minutes, cameras: int) -> tuple[list[Learner], int]:
    """Every camera with its profile, and the day on which the last had it."""
    spread = plant.spread()
    learners = [Learner(Commissioning(key=key(camera), cycle_hours=_CYCLE_HOURS)) for camera in range(cameras)]
    day = 0
    while any(learner.profile is None for learner in learners):
        part = minutes.between(day * _DAY, (day + 1) * _DAY)
        day += 1
        if len(part) == 0:
            continue
        ok = settled(part)
        for learner, means, images in zip(learners, plant.means(part)[:, ok], spread, strict=True):
            if learner.profile is None:
                learner.learn(part.at[ok], means, images)
    return learners, day


def _learners_of_before(rng: np.random.Generator, truth: Truth, memory: float, minutes: Minutes) -> list[Learner]:
    """The same cameras as they were commissioned until now: the first 300 windows, whatever they say."""
    plant = Plant(rng, truth, memory)
    part = minutes.between(0, _DAY)
    means, spread = plant.means(part)[:, settled(part)][:, :300], plant.spread()
    learners = []
    for camera in range(len(means)):
        learner = Learner(Commissioning(key=key(camera), windows_most=20))
        learner.learn(part.at[:300], means[camera], spread[camera])
        if learner.profile is not None:
            as_before = {"kinship": 0.0, "rolled": None}
            learner.profile = learner.profile.model_copy(update=as_before)
        learners.append(learner)
    return learners


def _plant_shifts(
    rng: np.random.Generator, found: Found, truth: Truth, watches: Sequence[Watch], means: Floats
) -> None:
    """Shifts of `SIZES` standard deviations of the last week's window means in each group, begun at random times."""
    for group in GROUPS:
        for size in SIZES:
            delays = found.delays.setdefault((group, size), [])
            for camera, (watch, row) in enumerate(zip(watches, means, strict=True)):
                for start in rng.integers(0, len(row) - _WATCHED_DELAY, size=_PLANTS):
                    shift = size * _direction(rng, truth, camera, group, row.std(axis=0))
                    delays.append(watch.delay(row[start : start + _WATCHED_DELAY] + shift))


def _direction(rng: np.random.Generator, truth: Truth, camera: int, group: str, sigma: Floats) -> Floats:
    """Of one standard deviation [m]: every entry of the group by chance up or down; the class share with what follows
    it in the embedding."""
    if group == "class":
        share = sigma[-1] * rng.choice([-1.0, 1.0])
        return np.append(share * truth.with_class[camera], share)
    chosen = np.array([group_of(name) == group for name in NAMES])
    return np.where(chosen, sigma * rng.choice([-1.0, 1.0], size=len(NAMES)), 0.0)


def upper_bound(events: int) -> float:
    """One-sided 95 % upper bound of a Poisson count: half the chi-squared quantile of 2 (n + 1) degrees (Garwood 1936,
    "Fiducial limits for the Poisson distribution", Biometrika 28).

    >>> round(upper_bound(0), 1), round(upper_bound(10), 0)
    (3.0, 17.0)
    """
    return chi2_quantile(0.95, 2.0 * (events + 1)) / 2.0


def _figures(name: str, found: Found) -> list[Figure]:
    months = found.windows / MONTH
    watched = f"wander with a memory of {name.replace('_', ' ')}; {months / 12:.1f} camera-years of minutes at work"
    rate = {
        f"false_drifts_a_month_{name}": (found.drifts, "the deployed rule"),
        f"false_drifts_a_month_{name}_before": (
            found.before,
            "a profile of 300 windows at the level of unrelated ones",
        ),
    }
    figures = [
        Figure(
            name=figure,
            value=upper_bound(count) / months,
            unit="1/month",
            note=f"95 % upper bound; {count} false drifts of {rule}; {watched}",
        )
        for figure, (count, rule) in rate.items()
    ]
    days = sorted(found.learned_days)
    figures.append(
        Figure(
            name=f"commissioning_days_{name}",
            value=float(np.median(days)),
            unit="days",
            interval=(days[0], days[-1]),
            note=f"as long as the profile asks for; median, shortest and longest of {len(days)} cameras; a whole week "
            f"at least; largest profile {found.profile_bytes} bytes",
        )
    )
    slow = sorted(found.slow_days)
    figures.append(
        Figure(
            name=f"slow_drift_days_{name}",
            value=float(np.median(slow)),
            unit="days",
            interval=(slow[len(slow) // 10], slow[-1 - len(slow) // 10]),
            note=f"every image statistic moves one standard deviation a day; median and the middle 80 % of {len(slow)}",
        )
    )
    return figures + [_delay(name, *plant, delays) for plant, delays in found.delays.items()]


def _delay(name: str, group: str, size: int, delays: Sequence[int | None]) -> Figure:
    minutes = np.sort([_WATCHED_DELAY if delay is None else delay for delay in delays])
    missed = sum(delay is None for delay in delays) / len(delays)
    half, reach = len(minutes) / 2, 0.98 * sqrt(len(minutes))  # order statistics around the median
    low, high = (minutes[int(np.clip(place, 0, len(minutes) - 1))] for place in (half - reach, half + reach))
    return Figure(
        name=f"delay_minutes_{name}_{group}_{size}_sd",
        value=float(np.median(minutes)),
        unit="min",
        interval=(float(low), float(high)),
        note=f"median of {len(delays)}; one in ten takes {np.quantile(minutes, 0.9):.0f} or more; {missed:.1%} not "
        f"found in {_WATCHED_DELAY} minutes; standard deviations of window means in control",
    )
