"""Drift vectors of real images as a station makes them: decoded, prepared and asked of the int8 file of a certified
bundle by `edge_agent.inspection`, turned into vectors by its own drift reference.

A set's network is trained on its learned half in the shortest way (a head on the frozen backbone, 160 pixels).
Vectors are kept under the data and the code that made them, so that this is done once.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.accuracy.cells import code_hash
from benchmarks.drift.record import CONTROL, Recorded
from benchmarks.drift.sets import RealSet, in_order, real_set
from benchmarks.drift.spoiling import FAULTS, STRENGTHS, Spoil, planted
from contracts.bundle import MANIFEST_NAME
from contracts.frame import Frame
from edge_agent.inspection import Inspector
from edge_agent.source import Capture
from exporter.export import export
from exporter.ranges import USUAL
from exporter.settings import ExportSettings
from lineside.models import chosen_base
from runtime.bundle import open_bundle
from trainer.clock import of_the_processor
from trainer.dataset import Example
from trainer.licence import found
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.snapshot import take_snapshot

FOLDER = Path("benchmarks/results/drift/work")
_WEIGHTS = "mobilenetv2_100_same.in1k.safetensors"
_SETTINGS = TrainingSettings(strategy="probe", max_seconds=240.0, input_width=160, input_height=160)
_EXPORT = ExportSettings(calibrators=USUAL[:1], max_drop=0.05)  # the first way that int8 can go
_THEN = datetime(2026, 1, 1, tzinfo=UTC)
_code = cache(code_hash)

Floats = NDArray[np.floating[Any]]


def recorded(data: Path, name: str, folder: Path = FOLDER, *, older: bool = False) -> Recorded:
    """The vectors of one of `sets.SETS`, made now (minutes) where they are not kept; with `older` also those that
    other code made of the same images."""
    real = real_set(data, name)
    parts = [*real.learned.examples, *real.control, *(e for part in real.shifts.values() for e in part)]
    path = _kept(folder / "vectors", name, parts, [__name__], ".npz", older=older)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _measured(real, inspector_of(data, real, folder, older=older)).save(path)
    return Recorded.load(name, path)


def inspector_of(data: Path, real: RealSet, folder: Path = FOLDER, *, older: bool = False) -> Inspector:
    """What a station asks: the set's bundle, trained and exported now where it is not kept; `older` as above."""
    place = _kept(folder / "bundles", real.name, real.learned.examples, ["trainer.run", "exporter.export"], older=older)
    if not (place / MANIFEST_NAME).exists():
        print(f"training a network on {real.name} ...", flush=True)
        run = place.with_name(f"{place.name}-run")
        shutil.rmtree(run, ignore_errors=True)
        snapshot = take_snapshot(real.learned, licence=found(Path(real.learned.source)), seed=0)
        with of_the_processor(1):
            model = train(snapshot, chosen_base(weights=data / "weights" / _WEIGHTS), settings=_SETTINGS, out=run)
        export(model, place, threads=1, settings=_EXPORT)
    torch.set_num_threads(1)
    return Inspector(open_bundle(place), variant="onnxruntime-cpu/int8")


def vectors_of(inspector: Inspector, examples: Sequence[Example], spoil: Spoil | None = None) -> Floats:
    """[n, m] of images, each spoilt first."""
    return np.stack(list(_vectors(inspector, examples, spoil)))


def capture_of(example: Example, number: int) -> Capture:
    """A file as a camera would send it."""
    frame = Frame(part_id=f"part-{number}", sequence=number, triggered_at=_THEN)
    return Capture(frame=frame, image=example.path.read_bytes())


def _vectors(inspector: Inspector, examples: Sequence[Example], spoil: Spoil | None) -> Iterator[Floats]:
    for number, example in enumerate(examples):
        capture = capture_of(example, number)
        if spoil is not None:
            capture = Capture(frame=capture.frame, image=spoil(inspector.pixels(capture)))
        inspection = inspector.inspect(capture)
        if inspection.vector is None:
            raise ValueError(f"{example.path} has no vector: {inspection.verdict.reason}")
        yield inspection.vector


def _measured(real: RealSet, inspector: Inspector) -> Recorded:
    examples: dict[str, Sequence[Example]] = {CONTROL: in_order(real.control)}
    examples |= {name: in_order(chosen) for name, chosen in real.shifts.items()}
    spoils: dict[str, Spoil] = {f"{f}-{s}": planted(f, s) for f in FAULTS for s in STRENGTHS}
    examples |= dict.fromkeys(spoils, examples[CONTROL])
    parts = {}
    for name, chosen in examples.items():
        print(f"{real.name}: {name}, {len(chosen)} images", flush=True)
        parts[name] = vectors_of(inspector, chosen, spoils.get(name))
    return Recorded(
        name=real.name,
        names=inspector.vector_names,
        labels=inspector.bundle.manifest.labels,
        parts=parts,
        truth=_numbered({name: [e.label for e in chosen] for name, chosen in examples.items()}),
        groups=_numbered({name: [e.group for e in chosen] for name, chosen in examples.items()}),
    )


def _numbered(words: Mapping[str, Sequence[str]]) -> dict[str, NDArray[np.int64]]:
    """Each word's place among all of them."""
    known = sorted({word for part in words.values() for word in part})
    return {name: np.array([known.index(word) for word in part], np.int64) for name, part in words.items()}


def _kept(
    folder: Path, name: str, examples: Sequence[Example], code: Sequence[str], suffix: str = "", *, older: bool
) -> Path:
    """Where something made of these images by this code is kept; with `older` the last that any code made of them."""
    rows = [[e.sha256, e.label, e.site, e.group, str(e.split)] for e in examples]
    settings = [each.model_dump_json(exclude_defaults=True) for each in (_SETTINGS, _EXPORT)]  # new ones change nothing
    stem = f"{name}-{_short([rows, *settings])}"
    path = folder / f"{stem}-{_short([_code(entry) for entry in code])}{suffix}"
    others = sorted(folder.glob(f"{stem}-????????????{suffix}"), key=lambda other: other.stat().st_mtime)
    return others[-1] if older and others and not path.exists() else path


def _short(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]
