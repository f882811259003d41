"""The same duel on images that no detector has learned: half of the images in control are its reference, the other half
are watched, drawn by chance.

With the images in control themselves as reference, as `alone` has it, a detector that looks closely at single images
knows each of them by heart: whatever is new is strange. That is right where commissioning saw all there is; a hundred
recorded images are not all there is. Thresholds are set for the run length on the watched half, so that nobody is
punished for false alarms, and delays say what is left of the advantage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.cells import Cell, code_hash
from benchmarks.drift.duel import RUN_LENGTH, duel
from benchmarks.drift.record import CONTROL, Recorded
from benchmarks.drift.rivals import WINDOWS
from benchmarks.drift.spoiling import FAULTS
from contracts.report import Figure

DETECTORS = ("sequential", "rolled", *WINDOWS)
_RUNS, _IMAGES = 20, 120_000
_code = cache(code_hash)


def cells(sets: dict[str, Recorded], *, quick: bool, seed: int) -> Iterator[Cell]:
    """One for each set and detector; independent streams, as halves drawn by chance have no neighbours."""
    runs = 5 if quick else _RUNS
    for name, vectors in sets.items():
        for detector in DETECTORS:
            inputs = {"vectors": vectors.hash, "runs": runs, "images": _IMAGES, "seed": seed}
            measured = partial(_measured, vectors, detector, seed=seed, runs=runs, images=_IMAGES)
            yield Cell(f"held-out/{name}/independent-{detector}", inputs, _code(__name__), measured)


def _measured(vectors: Recorded, detector: str, _: Path, *, seed: int, runs: int, images: int) -> dict[str, Any]:
    learned, watched = halves(vectors, np.random.default_rng([seed, 2]))
    return duel(watched, detector, "independent", seed=seed, runs=runs, images=images, learned=learned)


def halves(found: Recorded, rng: np.random.Generator) -> tuple[Recorded, Recorded]:
    """What is learned, images in control alone; and what is watched: the other ones, the faults planted on them, and
    all images of every real shift."""
    images = len(found.parts[CONTROL])
    chosen = np.zeros(images, bool)
    chosen[rng.permutation(images)[: images // 2]] = True
    on_control = {name for name in found.parts if name == CONTROL or name.partition("-")[0] in FAULTS}
    watched = {name: part[~chosen] if name in on_control else part for name, part in found.parts.items()}
    return replace(found, parts={CONTROL: found.parts[CONTROL][chosen]}), replace(found, parts=watched)


def figures(found: dict[str, dict[str, Any]]) -> Iterator[Figure]:
    """Of each rival's best window on every shift, against the detector that looks at every image."""
    best = {detector: _best(found, detector) for detector in DETECTORS}
    ours = best["sequential"]
    for name in DETECTORS[1:]:
        ratios = np.array([best[name][shift] / ours[shift] for shift in ours])
        yield Figure(
            name=f"held_out_three_times_shorter_than_{name}_by_sequential",
            value=float((ratios >= 3.0).mean()),
            unit="share",
            note=f"of {len(ratios)} shifts, images in control that no detector has learned; median of theirs over ours "
            f"{np.median(ratios):.2f}, ours longer on {(ratios < 1.0).mean():.0%}; run length set to {RUN_LENGTH:.0f}",
        )
    lengths = [cell["1"]["by_its_own_limits"] for name, cell in found.items() if name.endswith("-sequential")]
    yield Figure(
        name="held_out_run_length_sequential_by_its_own_limits",
        value=float(np.median(lengths)),
        unit="images",
        interval=(min(lengths), max(lengths)),
        note=f"in control, on images that it has not learned; of {len(lengths)} sets; wanted {RUN_LENGTH:.0f}",
    )
    for name, delays in best.items():
        values = list(delays.values())
        yield Figure(
            name=f"held_out_delay_{name}",
            value=float(np.median(values)),
            unit="images",
            note=f"median of {len(values)} shifts, of the best window on each; mean {np.mean(values):.0f}",
        )


def _best(found: dict[str, dict[str, Any]], detector: str) -> dict[tuple[str, str], float]:
    """Mean delay by set and shift, with the window that is the quickest."""
    told: dict[tuple[str, str], float] = {}
    for name, cell in found.items():
        _, of_set, rest = name.split("/")
        if rest.partition("-")[2] != detector:
            continue
        for variant in cell.values():
            for shift, (delay, _, _) in variant["delays"].items():
                told[of_set, shift] = min(delay, told.get((of_set, shift), np.inf))
    return told
