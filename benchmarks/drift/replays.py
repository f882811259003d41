"""Recorded images through the deployed rule: silent where nothing changed? And what is a real change taken for?

In control: the held-out images of a set, each in one window only, in an order drawn anew each time; a profile is
learned on the first windows, and the others are watched. Light: one camera's exposure changes, alone and beside a
camera whose exposure stays. Spindle: one camera, windows of few images in the order of time; and
each of its two changes on its own, on streams drawn from the days before and after.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.drift.diagnoses import LINES, A, drawn, learned
from benchmarks.drift.false_alarms import upper_bound
from benchmarks.drift.record import CONTROL, Recorded
from benchmarks.drift.sets import SETS, real_set
from benchmarks.drift.vectors import inspector_of, recorded
from benchmarks.drift.watch import Watch, key
from benchmarks.drift.watched import Served, WatchedLine
from benchmarks.harness import Measured
from contracts.report import Figure
from drift.profile import Commissioning
from monitor.rules.action import Kind, OpenIncident, OpenTicket, QualityAlert, Symptom
from monitor.rules.settings import RuleSettings
from runtime.metrics import wilson_interval
from trainer.dataset import Example

IMAGES = {"cells": 6, "tiles": 2, "spindle": 2}  # of a window: few, since a profile needs more windows than entries
LEARNED = {"cells": 60, "tiles": 44, "spindle": 60}  # windows; hardly more than entries, and the limit says nothing
_MOST = 15  # windows
_LIGHT = {Symptom.DARKER, Symptom.BRIGHTER}

Floats = NDArray[np.floating[Any]]
Generator = np.random.Generator
Sizes = Mapping[str, tuple[int, int] | None]


def measure(options: argparse.Namespace) -> Measured:
    """Every replay."""
    sets = {name: recorded(options.data, name, older=options.older) for name in SETS}
    times = 20 if options.quick else 400
    figures = [_in_control(np.random.default_rng([options.seed, 40]), vectors, times) for vectors in sets.values()]
    served = {name: served_of(options.data, vectors, older=options.older) for name, vectors in sets.items()}
    rng = np.random.default_rng([options.seed, 41])
    figures += _exposures(rng, sets["tiles"], served["tiles"], 2 if options.quick else 10)
    sizes = sizes_of(options.data, "spindle")
    figures += _changes(rng, sets["spindle"], served["spindle"], sizes, 2 if options.quick else 20)
    everything = len(sets["spindle"].parts[CONTROL]) // IMAGES["spindle"]  # before the pitting began
    return Measured(figures, {"spindle_in_time": in_time(sets["spindle"], served["spindle"], sizes, everything)})


def sizes_of(data: Path, name: str) -> Sizes:
    """Width and height of a set's pictures, part by part; None where they differ."""
    real = real_set(data, name)
    return {part: _size(examples) for part, examples in {CONTROL: real.control, **real.shifts}.items()}


def _size(examples: Sequence[Example]) -> tuple[int, int] | None:
    sizes = {Image.open(example.path).size for example in examples}
    return sizes.pop() if len(sizes) == 1 else None


def served_of(data: Path, vectors: Recorded, *, older: bool) -> Served:
    bundle = inspector_of(data, real_set(data, vectors.name), older=older).bundle
    return Served(bundle.manifest, bundle.hash, vectors.names)


def _in_control(rng: Generator, vectors: Recorded, times: int) -> Figure:
    control, images = vectors.parts[CONTROL].astype(np.float64), IMAGES[vectors.name]
    learning = LEARNED[vectors.name]
    full = len(control) // images
    drifts = watched = 0
    for _ in range(times):
        order = rng.permutation(len(control))[: full * images]
        rows = control[order].reshape(full, images, -1)
        means, spread = rows.mean(axis=1), rows.var(axis=1).mean(axis=0)
        commissioning = Commissioning(key=key(0), windows_needed=learning, windows_most=learning)
        profile = commissioning.add_all(vectors.names, means[:learning], spread, images).profile()
        watched += full - learning
        drifts += Watch(profile).false_drifts(np.arange(full - learning), means[learning:])
    return Figure(
        name=f"real_in_control_drifts_{vectors.name}",
        value=1000.0 * upper_bound(drifts) / watched,
        unit="1/1000 windows",
        note=f"95 % upper bound; {drifts} false drifts in {watched} windows of {images} held-out images, "
        f"{learning} windows to learn, {times} orders of {len(control)} images",
    )


def _watch(
    rng: Generator, before: WatchedLine, seen: Mapping[str, Floats], size: tuple[int, int] | None = None
) -> WatchedLine:
    """The line until its first incident, or for `_MOST` windows."""
    line = WatchedLine(before.served, before.settings, before.state, before.minute)
    for _ in range(_MOST):
        line.show({camera: drawn(rng, pool) for camera, pool in seen.items()}, size)
        if line.state.incident is not None:
            break
    return line


def _exposures(rng: Generator, vectors: Recorded, served: Served, times: int) -> Iterator[Figure]:
    control = vectors.parts[CONTROL]
    for name, cameras in LINES.items():
        right = told = 0
        exposures = [shift for shift in vectors.shifts if shift.startswith("exposure")]
        before = learned(rng, served, control, cameras)
        for _ in range(times):
            for shift in exposures:
                seen = {camera: vectors.parts[shift] if camera == A else control for camera in cameras}
                line = _watch(rng, before, seen)
                right += line.diagnosis(A) is Kind.SENSOR
                told += any(_LIGHT & set(ticket.symptoms) for ticket in line.of(OpenTicket))
        tries = times * len(exposures)
        note = f"tiles, one camera's exposure changes from 1 to 2..6, {name}; {tries} changes"
        yield _share(f"exposure_is_the_camera_{name}", right, tries, note)
        yield _share(f"exposure_is_light_{name}", told, tries, f"the ticket says darker or brighter; {note}")


def _changes(rng: Generator, vectors: Recorded, served: Served, sizes: Sizes, times: int) -> Iterator[Figure]:
    """The spindle's camera before and after each change, alone; its windows tell the size of their pictures."""
    right = {"pitting": {Kind.PRIOR, Kind.PRODUCT}, "new-crop": {Kind.SENSOR}}
    before = {"pitting": CONTROL, "new-crop": "pitting"}
    for shift, kinds in right.items():
        found: list[str] = []
        learning = learned(rng, served, vectors.parts[before[shift]], (A,), sizes[before[shift]])
        for _ in range(times):
            line = _watch(rng, learning, {A: vectors.parts[shift]}, sizes[shift])
            found.append(line.diagnosis(A) or "nothing")
        hits = sum(each in {kind.value for kind in kinds} for each in found)
        told = ", ".join(f"{found.count(each)} {each}" for each in sorted(set(found)))
        wanted = " or ".join(sorted(kind.value for kind in kinds))
        yield _share(f"spindle_{shift}", hits, times, f"taken for {wanted}; one camera, {times} streams: {told}")


def in_time(vectors: Recorded, served: Served, sizes: Sizes, learning: int) -> list[dict[str, Any]]:
    """A few images after the other, in their order; the profile is of the first `learning` windows."""
    images = IMAGES[vectors.name]
    settings = RuleSettings(
        commissioning_windows=learning, commissioning_most_windows=learning, commissioning_cycle_hours=0
    )
    line = WatchedLine(served, settings)
    line.serve()
    told = []
    for part in (CONTROL, "pitting", "new-crop"):
        rows = vectors.parts[part].astype(np.float64)
        for start in range(0, len(rows) - images + 1, images):
            seen = len(line.actions)
            line.show({A: rows[start : start + images]}, sizes[part])
            told.append({"part": part, **_state(line, seen)})
    return told


def _state(line: WatchedLine, seen: int) -> dict[str, Any]:
    camera, incident = line.state.cameras[A], line.state.incident
    last = camera.recent[-1] if camera.recent else None
    said = [action for action in line.actions[seen:] if isinstance(action, OpenIncident | OpenTicket | QualityAlert)]
    return {
        "phase": camera.phase.value,
        "ratio": round(last.ratio, 2) if last else None,
        "groups": {name: round(value, 2) for name, value in last.groups.items()} if last else {},
        "incident": incident.diagnosis.value if incident else None,
        "said": [f"{action.kind}: {action.reason.code}" for action in said],
    }


def _share(name: str, hits: int, tries: int, note: str) -> Figure:
    low, high = wilson_interval(hits, tries)
    return Figure(name=name, value=hits / tries, unit="share", interval=(low, high), note=note)
