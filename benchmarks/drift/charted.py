"""What detectors say of many streams at once: statistics [runs, times], of which any threshold makes alarms.

Ours are asked through `drift/` itself. Of alibi-detect's three the statistic is computed in bulk over streams whose
rows come from a small pool, by alibi's own formulas (`rivals`), because alibi takes up to a millisecond for an image;
that the two agree is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import stream
from drift.cusum import Cusum
from drift.ewma import Ewma
from drift.hotelling import HotellingT2
from drift.plantcharts import PlantCharts
from drift.profile import ROLL_UP, Commissioning, Profile, ProfileKey
from drift.sequential import MEMORY, Bank

Floats = NDArray[np.floating[Any]]
Rows = NDArray[np.int64]

_KEY = ProfileKey(bundle_hash="0" * 64, camera="agent/camera/part", product="part", runtime="recorded")
COMMISSIONED = 300  # windows
LOOKED_AT = 20_000  # images, while a detector of single images is commissioned
_NEVER = 1e300


@dataclass(frozen=True)
class Chart:
    """A detector over streams. `of` takes rows [runs, n] of `pool` and returns statistics [runs, times], the first
    after `first` images, then after every `every`. What was seen more than `settles` images ago counts for nothing."""

    name: str
    window: int
    first: int
    every: int
    settles: int
    of: Callable[[Floats, Rows], Floats]


def window_means(pool: Floats, rows: Rows, window: int) -> Floats:
    """[runs, windows, m]"""
    full = rows.shape[1] // window
    counted = rows[:, : full * window].reshape(rows.shape[0], full, window)
    means = np.empty((*counted.shape[:2], pool.shape[1]))
    for run, of_run in enumerate(counted):
        means[run] = pool[of_run].mean(axis=1)
    return means


def commissioned(
    rng: np.random.Generator, names: tuple[str, ...], control: Floats, kind: str, window: int, windows: int
) -> Profile:
    """The profile that a station would learn from a stream in control, of so many windows at least."""
    commissioning = Commissioning(key=_KEY, windows_needed=windows, windows_most=10 * windows)
    while not commissioning.complete:
        rows = stream(rng, kind, len(control), (1, window * (commissioning.asked - commissioning.seen)))
        means = window_means(control, rows, window)[0]
        spread = control.var(axis=0)
        commissioning = commissioning.add_all(names, means, spread, window)
    return commissioning.profile()


def hotelling(profile: Profile) -> Chart:
    """The deployed detector, one window at a time."""
    detector, window = HotellingT2(profile), profile.images

    def of(pool: Floats, rows: Rows) -> Floats:
        means = window_means(pool, rows, window)
        return detector.ratios(means.reshape(-1, means.shape[2])).reshape(means.shape[:2])

    return Chart("hotelling", window, window, window, window, of)


def rolled(profile: Profile) -> Chart:
    """The deployed detector with its roll-ups: the larger of both ratios, that of a roll-up once it is full."""
    if profile.rolled is None:
        raise ValueError(f"{profile.windows} windows have no roll-ups")
    single, over_ten, window = hotelling(profile), HotellingT2(profile.rolled), profile.images

    def of(pool: Floats, rows: Rows) -> Floats:
        ratios, means = single.of(pool, rows), window_means(pool, rows, ROLL_UP * window)
        runs, times, entries = means.shape
        full = over_ten.largest_ratios(means.reshape(-1, entries)).reshape(runs, times)
        at = slice(ROLL_UP - 1, ROLL_UP * times, ROLL_UP)
        ratios[:, at] = np.maximum(ratios[:, at], full)
        return ratios

    return Chart("rolled", window, window, window, ROLL_UP * window, of)


def ewma(profile: Profile) -> Chart:
    """`drift.ewma`: for slow drift."""
    return _one_by_one("ewma", profile, lambda: Ewma(profile, most=_NEVER).update)


def cusum(profile: Profile) -> Chart:
    """`drift.cusum`: for triggered lines."""
    return _one_by_one("cusum", profile, lambda: Cusum(profile, most=_NEVER).update)


def plant(profile: Profile, good: str) -> Chart:
    """What plants know already: EWMA of brightness and sharpness, p-chart of the rejects. The share of the good parts
    is charted where it is known as such, which is the same."""
    rejects = (f"class-{good}",) if f"class-{good}" in profile.names else None
    return _one_by_one("plant", profile, lambda: PlantCharts(profile, width=_NEVER, rejects=rejects).update)


def sequential(bank: Bank) -> Chart:
    """`drift.sequential`: every image, by its own limits at 1."""

    def of(pool: Floats, rows: Rows) -> Floats:
        largest: Floats = bank.course(bank.scores.of(pool), rows).max(axis=0)
        return largest

    return Chart("sequential", 1, 1, 1, MEMORY, of)


def _one_by_one(name: str, profile: Profile, start: Callable[[], Callable[[Floats, int], float]]) -> Chart:
    window = profile.images

    def of(pool: Floats, rows: Rows) -> Floats:
        found = []
        for means in window_means(pool, rows, window):
            update = start()
            found.append([update(mean, window) for mean in means])
        return np.array(found)

    return Chart(name, window, window, window, 10 * window, of)
