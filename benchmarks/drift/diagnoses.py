"""300 planted plights on real pictures: is each given its right name, and does no camera fault lead to a retrain?

A line of two cameras, and one of a camera alone, have learned; then vectors of what they now see come in windows, and
once there is an incident, labels of what is seen: more of them than a retrain asks for, so that it would be ordered if
the rules allow it. A frozen camera is found by the hard rule, on the frames themselves, and gives no vectors.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.cells import Cell, Kept, Shelf, code_hash
from benchmarks.drift.plights import CAMERA, COUNTS, RIGHT, Plight, plight
from benchmarks.drift.record import CONTROL, Recorded
from benchmarks.drift.sets import RealSet, in_order, real_set
from benchmarks.drift.vectors import capture_of, inspector_of, recorded, vectors_of
from benchmarks.drift.watched import Served, WatchedLine
from benchmarks.harness import Measured
from contracts.report import Figure
from drift.camera import CameraFault, CameraHealth
from edge_agent.inspection import Inspector
from monitor.rules.action import Kind, OpenIncident, OpenTicket, OrderRetrain
from monitor.rules.settings import RuleSettings
from runtime.metrics import wilson_interval
from trainer.dataset import Example

CELLS = Path("benchmarks/results/drift")
SETS = ("cells", "tiles")
SETTINGS = RuleSettings(commissioning_windows=300, commissioning_most_windows=900, commissioning_cycle_hours=0)
A, B = "agent/camera-a/part", "agent/camera-b/part"
LINES = {"two-cameras": (A, B), "alone": (A,)}
_WINDOW, _PICTURES, _WATCHED, _LABELS = 300, 48, 15, 260
_code = cache(code_hash)

Floats = NDArray[np.floating[Any]]


def measure(options: argparse.Namespace) -> Measured:
    """Every cell that is not kept, then the figures of all."""
    shelf = Shelf(CELLS / ("work/quick" if options.quick else ""))
    kept: dict[str, Kept] = {}
    for cell in cells(options.data, quick=options.quick, seed=options.seed, older=options.older):
        if shelf.recall(cell, older=options.older) is None:
            print(f"{cell.name} ...", flush=True)
        kept[cell.name] = shelf.recall(cell, older=options.older) or shelf.measure(cell)
    found = {name: each.found for name, each in kept.items()}
    outdated = sorted(name for name, each in kept.items() if each.outdated)
    about = {"commits": sorted({each.commit for each in kept.values()}), "measured_by_other_code": outdated}
    return Measured(list(figures(found)), {"cells": found, **about})


def cells(data: Path, *, quick: bool, seed: int, older: bool) -> Iterator[Cell]:
    """One for each set and kind of plight, half of its count each."""
    for name in SETS:
        vectors = recorded(data, name, older=older)
        for kind, count in COUNTS.items():
            times = 2 if quick else count // len(SETS)
            inputs = {"vectors": vectors.hash, "times": times, "seed": seed}
            measure_cell = partial(_measured, data, vectors, kind, times, seed, older)
            yield Cell(f"diagnoses/{name}/{kind}", inputs, _code(__name__), measure_cell)


def _measured(data: Path, vectors: Recorded, kind: str, times: int, seed: int, older: bool, _: Path) -> dict[str, Any]:
    real = real_set(data, vectors.name)
    inspector, place = inspector_of(data, real, older=older), list(COUNTS).index(kind)
    if kind == "frozen":
        rng = np.random.default_rng([seed, place])
        return {"found": [_frozen(rng, real, inspector) for _ in range(times)]}
    scene = Scene.of(vectors, real, inspector, seed)
    return {"found": [scene.play(np.random.default_rng([seed, place, number]), kind) for number in range(times)]}


@dataclass(frozen=True)
class Scene:
    """Lines that have learned the same `parts`, and what may come instead. The parts are few, so that all of them can
    be asked anew of each plight, and the same before and after, so that nothing differs but what was planted."""

    inspector: Inspector
    parts: tuple[Example, ...]
    strangers: tuple[Example, ...]
    known: Mapping[str, Floats]
    """Vectors [m] of pictures as they are, by their hash."""
    lines: Mapping[str, WatchedLine]

    @classmethod
    def of(cls, vectors: Recorded, real: RealSet, inspector: Inspector, seed: int) -> Scene:
        """Of one set."""
        rng = np.random.default_rng(seed)
        kinds = {CONTROL: in_order(real.control), **{name: in_order(chosen) for name, chosen in real.shifts.items()}}
        known = {
            example.sha256: vectors.parts[name][row].astype(np.float64)
            for name, examples in kinds.items()
            for row, example in enumerate(examples)
        }
        parts, strangers = _few(rng, kinds[CONTROL]), _few(rng, kinds.get("poly", ()))
        served = Served(inspector.bundle.manifest, inspector.bundle.hash, vectors.names)
        pool = np.stack([known[example.sha256] for example in parts])
        lines = {name: learned(rng, served, pool, cameras) for name, cameras in LINES.items()}
        return cls(inspector, parts, strangers, known, lines)

    def play(self, rng: np.random.Generator, kind: str) -> dict[str, Any]:
        """What each line made of one plight."""
        befallen = plight(rng, kind, self.parts, self.strangers)
        pool = self._seen(befallen)
        return {name: self._story(rng, line, LINES[name], befallen, pool) for name, line in self.lines.items()}

    def _seen(self, befallen: Plight) -> Floats:
        if befallen.spoils is None:
            return np.stack([self.known[example.sha256] for example in befallen.examples])
        pairs = zip(befallen.examples, befallen.spoils, strict=True)
        found = [vectors_of(self.inspector, [example], spoil) for example, spoil in pairs]
        return np.concatenate(found).astype(np.float64)

    def _story(
        self, rng: np.random.Generator, before: WatchedLine, cameras: tuple[str, ...], befallen: Plight, pool: Floats
    ) -> dict[str, Any]:
        line = WatchedLine(before.served, before.settings, before.state, before.minute)
        usual = np.stack([self.known[example.sha256] for example in self.parts])
        even = np.full(len(usual), 1.0 / len(usual))
        seen = {
            camera: (pool, befallen.weights) if befallen.both or camera == A else (usual, even) for camera in cameras
        }
        windows = 0
        while line.state.incident is None and windows < _WATCHED:
            line.show({camera: drawn(rng, *rows) for camera, rows in seen.items()})
            windows += 1
        _label(rng, line, seen, befallen)
        return {
            "diagnosis": line.diagnosis(A),
            "windows": windows,
            "symptoms": sorted({symptom.value for ticket in line.of(OpenTicket) for symptom in ticket.symptoms}),
            "reason": [opened.reason.code for opened in line.of(OpenIncident)],
            "ticket": bool(line.of(OpenTicket)),
            "retrained": bool(line.of(OrderRetrain)),
        }


def _few(rng: np.random.Generator, examples: Sequence[Example]) -> tuple[Example, ...]:
    chosen = np.sort(rng.permutation(len(examples))[:_PICTURES])
    return tuple(examples[row] for row in chosen)


def learned(
    rng: np.random.Generator,
    served: Served,
    pool: Floats,
    cameras: Sequence[str],
    size: tuple[int, int] | None = None,
) -> WatchedLine:
    """A line whose cameras all have their profile; `size` as of `WatchedLine.show`."""
    line = WatchedLine(served, SETTINGS)
    line.serve()
    while not line.state.cameras or any(camera.profile is None for camera in line.state.cameras.values()):
        line.show({camera: drawn(rng, pool) for camera in cameras}, size)
    return line


def drawn(rng: np.random.Generator, pool: Floats, weights: Floats | None = None) -> Floats:
    """A window of vectors [n, m]."""
    return np.asarray(pool[rng.choice(len(pool), size=_WINDOW, p=weights)], np.float64)


def _label(
    rng: np.random.Generator, line: WatchedLine, seen: Mapping[str, tuple[Floats, Floats]], befallen: Plight
) -> None:
    """What is seen goes on, and somebody labels a good many parts of camera A, with what they are."""
    if line.state.incident is None:
        return
    pool, weights = seen[A]
    answers = line.served.answers(pool)
    for number, row in enumerate(rng.choice(len(pool), size=_LABELS, p=weights)):
        if number % 50 == 0:
            line.show({camera: drawn(rng, *rows) for camera, rows in seen.items()})
        line.label(A, f"part-{number}", befallen.truth[row], answers[row])


def _frozen(rng: np.random.Generator, real: RealSet, inspector: Inspector) -> dict[str, Any]:
    """Pictures of the line, then one of them again and again."""
    chosen = [real.control[row] for row in rng.integers(len(real.control), size=12)]
    pictures = [inspector.pixels(capture_of(example, number)) for number, example in enumerate(chosen)]
    health, now, frames = CameraHealth(), datetime(2026, 1, 5, tzinfo=UTC), 0
    for picture in pictures:
        now += timedelta(seconds=0.1)
        if health.update(picture, now) is not None:
            return {
                name: {"diagnosis": "too early", "windows": 0, "ticket": False, "retrained": False} for name in LINES
            }
    while health.fault is not CameraFault.FROZEN and frames < 50:
        now, frames = now + timedelta(seconds=0.1), frames + 1
        health.update(pictures[-1], now)
    diagnosis = Kind.SENSOR.value if health.fault is CameraFault.FROZEN else None
    return {
        name: {"diagnosis": diagnosis, "windows": 0, "frames": frames, "ticket": True, "retrained": False}
        for name in LINES
    }


def figures(found: Mapping[str, Mapping[str, Any]]) -> Iterator[Figure]:
    """Shares of right names, of each kind and of all, and retrains for camera faults."""
    for line in LINES:
        told = [(name.split("/")[2], one[line]) for name, cell in found.items() for one in cell["found"]]
        yield _right(f"diagnosed_right_{line}", told)
        for kind in COUNTS:
            yield _right(f"diagnosed_right_{line}_{kind}", [(each, one) for each, one in told if each == kind])
        faults = [one for kind, one in told if kind in CAMERA]
        retrained = sum(one["retrained"] for one in faults)
        note = f"of {len(faults)} camera faults; {_LABELS} labels of what is seen are given for each"
        ticketed = sum(one["ticket"] for kind, one in told if kind in CAMERA)
        yield Figure(
            name=f"camera_faults_ticketed_{line}",
            value=ticketed / len(faults),
            unit="share",
            note=f"somebody is sent to the camera, whatever it is taken for; of {len(faults)} camera faults",
        )
        yield Figure(name=f"camera_faults_retrained_{line}", value=retrained, unit="retrains", note=note)


def _right(name: str, told: Sequence[tuple[str, Mapping[str, Any]]]) -> Figure:
    right = sum(one["diagnosis"] == RIGHT[kind] for kind, one in told)
    low, high = wilson_interval(right, len(told))
    others = Counter(str(one["diagnosis"]) for kind, one in told if one["diagnosis"] != RIGHT[kind])
    wrong = ", ".join(f"{count} {other}" for other, count in others.most_common())
    note = f"{right} of {len(told)}" + (f"; the others: {wrong}" if wrong else "")
    return Figure(name=name, value=right / len(told), unit="share", interval=(low, high), note=note)
