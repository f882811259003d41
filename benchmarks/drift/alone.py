"""Detectors alone on real vectors, without persistence: ours, those of alibi-detect and the charts that plants know,
each with the same run length in control. Every cell (set, stream, detector) is kept, so that it can be run in parts.

Of each of alibi's detectors three windows run, and on every shift the one with the shortest delay counts: the most that
tuning could make of it. Of ours it is windows of 300 images, whatever the shift; once more, as `by_roll_ups`, windows
of 30 with roll-ups of ten, which is how the deployed rule looks at its minutes; and, as `by_sequential`, the detector
that looks at every image.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.cells import Cell, Kept, Shelf, code_hash
from benchmarks.drift import held_out
from benchmarks.drift.charted import LOOKED_AT
from benchmarks.drift.duel import BATCH, DETECTORS, MOST, RUN_LENGTH, duel
from benchmarks.drift.record import CONTROL, Recorded
from benchmarks.drift.rivals import WINDOWS
from benchmarks.drift.sets import SETS
from benchmarks.drift.streams import BLOCK, KINDS, likeness
from benchmarks.drift.vectors import recorded
from benchmarks.harness import Measured
from contracts.report import Figure
from drift.bootstrap import blocks
from drift.profile import ROLL_UP
from runtime.metrics import wilson_interval

CELLS = Path("benchmarks/results/drift")
SHORTER = 3.0
_RUNS, _IMAGES = 60, 600_000
_code = cache(code_hash)

Delays = dict[tuple[str, str, str], list[float]]
"""By set, stream and shift: mean, half of its interval, share of misses."""


def measure(options: argparse.Namespace) -> Measured:
    """Every cell that is not kept, then the figures of all."""
    sets = {name: recorded(options.data, name, older=options.older) for name in SETS}
    shelf = Shelf(CELLS / ("work/quick" if options.quick else ""))
    kept: dict[str, Kept] = {}
    chosen = {"quick": options.quick, "seed": options.seed}
    for cell in (*cells(sets, **chosen), *held_out.cells(sets, **chosen)):
        if shelf.recall(cell, older=options.older) is None:
            print(f"{cell.name} ...", flush=True)
        kept[cell.name] = shelf.recall(cell, older=options.older) or shelf.measure(cell)
    found = {name: each.found for name, each in kept.items()}
    about = {name: _about(each) for name, each in sets.items()}
    commits = sorted({each.commit for each in kept.values()})
    outdated = sorted(name for name, each in kept.items() if each.outdated)
    fought = {name: cell for name, cell in found.items() if name.startswith("alone/")}
    unlearned = {name: cell for name, cell in found.items() if name not in fought}
    return Measured(
        [*figures(fought), *held_out.figures(unlearned)],
        {"cells": found, "sets": about, "commits": commits, "measured_by_other_code": outdated},
    )


def cells(sets: dict[str, Recorded], *, quick: bool, seed: int) -> Iterator[Cell]:
    """One for each set, stream and detector."""
    runs, images = (10, 120_000) if quick else (_RUNS, _IMAGES)
    for name, vectors in sets.items():
        for kind in KINDS:
            for detector in DETECTORS:
                inputs = {"vectors": vectors.hash, "runs": runs, "images": images, "seed": seed}
                measure_cell = partial(_measured, vectors, detector, kind, seed=seed, runs=runs, images=images)
                yield Cell(f"alone/{name}/{kind}-{detector}", inputs, _code("benchmarks.drift.duel"), measure_cell)


def _measured(
    vectors: Recorded, detector: str, kind: str, _: Path, *, seed: int, runs: int, images: int
) -> dict[str, Any]:
    return duel(vectors, detector, kind, seed=seed, runs=runs, images=images)


def figures(found: dict[str, dict[str, Any]]) -> list[Figure]:
    """How ours compares with each rival, shift by shift, and what everybody's run length, misses and delays are."""
    ours = delays_of(found, "hotelling", str(BATCH))
    rivals = {name: best_of(found, name) for name in WINDOWS}
    made = [*_run_lengths(found), *_by_its_own_limits(found)]
    for name, delays in rivals.items():
        made += _against(name, ours, delays)
    best = {key: min((delays[key] for delays in rivals.values()), key=lambda each: each[0]) for key in ours}
    made += _against("the_best", ours, best)
    made += _against("plant_charts", ours, delays_of(found, "plant", str(BATCH)))
    rolled = delays_of(found, "rolled", str(BATCH // ROLL_UP))
    every_image = delays_of(found, "sequential", "1")
    for name, delays in (*rivals.items(), ("the_best", best)):
        made += _against(f"{name}_by_roll_ups", rolled, delays)
        made += _against(f"{name}_by_sequential", every_image, delays)
    everybody = {name: best_of(found, name) for name in DETECTORS} | {"hotelling": ours}
    made += [figure for name, delays in everybody.items() for figure in _delays(name, delays)]
    return made


def delays_of(found: dict[str, dict[str, Any]], detector: str, window: str) -> Delays:
    """Of one detector with one window."""
    made: Delays = {}
    for name, cell in found.items():
        _, chosen, rest = name.split("/")
        kind, _, of = rest.partition("-")
        if of == detector and window in cell:
            made |= {(chosen, kind, shift): told for shift, told in cell[window]["delays"].items()}
    return made


def best_of(found: dict[str, dict[str, Any]], detector: str) -> Delays:
    """Of one detector with the window that is the quickest on each shift."""
    windows = sorted({window for name, cell in found.items() if name.endswith(f"-{detector}") for window in cell})
    each = [delays_of(found, detector, window) for window in windows]
    return {key: min((delays[key] for delays in each), key=lambda told: told[0]) for key in each[0]}


def _against(name: str, ours: Delays, theirs: Delays) -> list[Figure]:
    ratios = np.array([theirs[key][0] / ours[key][0] for key in ours])
    slower = sorted(((1 / ratio, key) for ratio, key in zip(ratios, ours, strict=True) if ratio < 1), reverse=True)
    named = "; ".join(f"{'/'.join(key)} {factor:.1f} times" for factor, key in slower[:4])
    shorter = int((ratios >= SHORTER).sum())
    low, high = wilson_interval(shorter, len(ratios))
    return [
        Figure(
            name=f"three_times_shorter_than_{name}",
            value=shorter / len(ratios),
            unit="share",
            interval=(low, high),
            note=f"of {len(ratios)} shifts; median of theirs over ours {np.median(ratios):.2f}",
        ),
        Figure(
            name=f"longer_than_{name}",
            value=len(slower) / len(ratios),
            unit="share",
            note=f"ours takes longer on {len(slower)} of {len(ratios)} shifts" + (f"; worst: {named}" if named else ""),
        ),
    ]


def _run_lengths(found: dict[str, dict[str, Any]]) -> Iterator[Figure]:
    for detector in DETECTORS:
        variants = [
            variant
            for name, cell in found.items()
            if name.endswith(f"-{detector}")
            for window, variant in cell.items()
            if detector != "hotelling" or window == str(BATCH)
        ]
        lengths = [variant["run_length"] for variant in variants]
        covered = sum(variant["low"] <= RUN_LENGTH <= variant["high"] for variant in variants)
        yield Figure(
            name=f"run_length_{detector}",
            value=float(np.median(lengths)),
            unit="images",
            interval=(min(lengths), max(lengths)),
            note=f"in control, on streams other than the threshold's; median, least and most of {len(lengths)} (sets, "
            f"streams, windows); wanted {RUN_LENGTH:.0f}, within the 95 % interval of {covered}",
        )


def _by_its_own_limits(found: dict[str, dict[str, Any]]) -> Iterator[Figure]:
    lengths = [cell["1"]["by_its_own_limits"] for name, cell in found.items() if name.endswith("-sequential")]
    yield Figure(
        name="run_length_sequential_by_its_own_limits",
        value=float(np.median(lengths)),
        unit="images",
        interval=(min(lengths), max(lengths)),
        note=f"in control, by the limits that it sets itself from {LOOKED_AT} images; median, least and most of "
        f"{len(lengths)} (sets, streams); wanted {RUN_LENGTH:.0f}",
    )


def _delays(name: str, delays: Delays) -> Iterator[Figure]:
    for kind in KINDS:
        chosen = np.array([told for (_, stream, _), told in delays.items() if stream == kind])
        mean = float(chosen[:, 0].mean())
        half = float(np.sqrt((chosen[:, 1] ** 2).sum()) / len(chosen))
        missed = float(chosen[:, 2].mean())
        yield Figure(
            name=f"delay_{name}_{kind}",
            value=mean,
            unit="images",
            interval=(mean - half, mean + half),
            note=f"mean of {len(chosen)} shifts, of the best window where there are several; {missed:.1%} missed, "
            f"which count as {MOST}",
        )


def _about(vectors: Recorded) -> dict[str, Any]:
    control = vectors.parts[CONTROL]
    rows = blocks(np.random.default_rng(0), len(control), (1, 20_000), BLOCK)[0]
    return {
        "images": {part: len(rows) for part, rows in vectors.parts.items()},
        "block": BLOCK,
        "autocorrelation_of_record": {str(lag): likeness(control, lag) for lag in (1, 10)},
        "autocorrelation_of_stream": {str(lag): likeness(control[rows], lag) for lag in (1, 10)},
    }
