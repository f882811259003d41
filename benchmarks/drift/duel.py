"""One detector on one stream: a threshold for the wanted run length in control, the run length that it then has, and
how long it takes for each shift.

A run length is images over alarms; after an alarm a detector starts anew. Delays count images from the change, which
falls anywhere in a window; a run that shows nothing within `MOST` images counts as missed, and as `MOST` in the mean.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.charted import (
    COMMISSIONED,
    LOOKED_AT,
    Chart,
    commissioned,
    cusum,
    ewma,
    hotelling,
    plant,
    rolled,
    sequential,
)
from benchmarks.drift.record import CONTROL, Recorded
from benchmarks.drift.rivals import WINDOWS, cvm, ks, mmd, reference_of, standard
from benchmarks.drift.streams import stream
from drift.profile import ROLL_UP, Profile
from drift.quantile import chi2_quantile
from drift.sequential import alarms_of as alarms_among
from drift.sequential import learned as bank_of

RUN_LENGTH = 20_000.0  # images
BATCH = 300  # images
MOST = 6_000  # images
OURS = {
    "hotelling": (30, 100, BATCH),
    "rolled": (BATCH // ROLL_UP,),
    "ewma": (BATCH,),
    "cusum": (BATCH,),
    "plant": (BATCH,),
    "sequential": (1,),
}
DETECTORS = (*OURS, *WINDOWS)

Floats = NDArray[np.floating[Any]]
Rows = NDArray[np.int64]


def duel(
    found: Recorded, detector: str, kind: str, *, seed: int, runs: int, images: int, learned: Recorded | None = None
) -> dict[str, Any]:
    """By window: run length, and each shift's mean delay, half its 95 % interval and share of misses. What a detector
    knows of the images in control it has from `learned`; by default from those it watches."""
    return {
        str(window): _of_window(found, learned or found, detector, window, kind, seed=seed, runs=runs, images=images)
        for window in (OURS | WINDOWS)[detector]
    }


def _of_window(
    found: Recorded, learned: Recorded, detector: str, window: int, kind: str, *, seed: int, runs: int, images: int
) -> dict[str, Any]:
    rng = np.random.default_rng([seed, window])
    chart, scale = chart_of(rng, learned, detector, window, kind)
    control = scale(found.parts[CONTROL])
    shape = (max(1, images // 60_000), 60_000)
    threshold = threshold_for(chart, control, stream(rng, kind, len(control), shape))
    rows = stream(rng, kind, len(control), shape)
    statistics = chart.of(control, rows)
    alarms = alarms_of(chart, statistics, threshold)
    low, high = run_length_interval(rows.size, alarms)
    delays = {
        shift: told(delays_of(np.random.default_rng(seed), chart, control, scale(part), kind, threshold, runs))
        for shift, part in found.parts.items()
        if shift != CONTROL
    }
    told_of = {"run_length": rows.size / max(alarms, 1), "low": low, "high": high, "alarms": alarms, "delays": delays}
    if detector == "sequential":
        told_of["by_its_own_limits"] = rows.size / max(alarms_of(chart, statistics, 1.0), 1)
    return told_of


def chart_of(rng: np.random.Generator, found: Recorded, detector: str, window: int, kind: str) -> tuple[Chart, Any]:
    """The detector, and what it wants to be done to vectors first."""
    control = found.parts[CONTROL].astype(np.float64)
    if detector == "sequential":
        looked_at = control[stream(rng, kind, len(control), (1, LOOKED_AT))[0]]
        return sequential(bank_of(looked_at, rng, run_length=RUN_LENGTH)), lambda vectors: vectors.astype(np.float64)
    if detector in OURS:
        windows = 10 * COMMISSIONED if detector == "rolled" else COMMISSIONED
        profile = commissioned(rng, found.names, control, kind, window, windows)
        make: dict[str, Callable[[Profile], Chart]] = {
            "hotelling": hotelling,
            "rolled": rolled,
            "ewma": ewma,
            "cusum": cusum,
            "plant": partial(plant, good=found.good),
        }
        return make[detector](profile), lambda vectors: vectors.astype(np.float64)
    mean, spread = standard(control)
    reference = reference_of((control - mean) / spread)
    if detector == "MMDDriftOnline":
        kept = np.sort(rng.permutation(len(reference))[: len(reference) - 2 * window + 1])
        return mmd(reference, window, kept), lambda vectors: (vectors - mean) / spread
    make_rival = {"KSDrift": ks, "CVMDriftOnline": cvm}[detector]
    return make_rival(reference, window), lambda vectors: (vectors - mean) / spread


def threshold_for(chart: Chart, control: Floats, rows: Rows, run_length: float = RUN_LENGTH) -> float:
    """The lowest at which streams in control have the run length."""
    statistics = chart.of(control, rows)
    values = np.unique(statistics)
    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high) // 2
        few = alarms_of(chart, statistics, float(values[middle])) * run_length <= rows.size
        low, high = (low, middle) if few else (middle + 1, high)
    return float(values[low])


def alarms_of(chart: Chart, statistics: Floats, threshold: float) -> int:
    """How many there are where a detector starts anew after each."""
    return alarms_among(statistics, threshold, -(-max(chart.settles, chart.every) // chart.every))


def run_length_interval(images: int, alarms: int) -> tuple[float, float]:
    """95 %, of a Poisson count of alarms (Garwood 1936); inf without any."""
    most = chi2_quantile(0.975, 2.0 * (alarms + 1)) / 2.0
    return images / most, images / (chi2_quantile(0.025, 2.0 * alarms) / 2.0) if alarms else inf


def delays_of(
    rng: np.random.Generator, chart: Chart, control: Floats, part: Floats, kind: str, threshold: float, runs: int
) -> Floats:
    """Images from the change to the alarm [runs]; inf where there was none within `MOST`."""
    pool, before = np.concatenate([control, part]), chart.settles + chart.window
    rows = np.concatenate(
        [stream(rng, kind, len(control), (runs, before)), len(control) + stream(rng, kind, len(part), (runs, MOST))],
        axis=1,
    )
    skipped = rng.integers(chart.every, size=runs)
    delays = np.full(runs, inf)
    for most in (2 * chart.window + 300, MOST):
        left = np.flatnonzero(np.isinf(delays))
        if len(left):
            delays[left] = _first(chart, pool, rows[left, : before + most], skipped[left], before, threshold)
    return delays


def _first(chart: Chart, pool: Floats, rows: Rows, skipped: Rows, before: int, threshold: float) -> Floats:
    length = rows.shape[1] - chart.every + 1
    shifted = np.take_along_axis(rows, skipped[:, None] + np.arange(length), axis=1)
    statistics = chart.of(pool, shifted)
    at = skipped[:, None] + chart.first + chart.every * np.arange(statistics.shape[1]) - before
    over = (statistics > threshold) & (at > 0)
    first = np.take_along_axis(at, over.argmax(axis=1)[:, None], axis=1)[:, 0]
    return np.where(over.any(axis=1), first, inf)


def told(delays: Floats) -> list[float]:
    """Mean with misses as `MOST`, half of its 95 % interval, share of misses."""
    capped = np.minimum(delays, MOST)
    half = 1.96 * capped.std(ddof=1) / np.sqrt(len(capped))
    return [round(float(capped.mean()), 1), round(float(half), 1), float(np.isinf(delays).mean())]
