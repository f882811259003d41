"""Decoding and resizing a large JPEG, ours and OpenCV's plain way, and what the difference does to the answers."""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.accuracy.protocols import grouped_fold, read_set
from benchmarks.harness import Measured
from contracts.bundle import Licence
from contracts.preprocessing import Preprocessing
from contracts.report import Figure
from lineside.models import chosen_base
from runtime.latency import measure_interleaved
from runtime.preprocessing import decode, prepare
from trainer.dataset import Example
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.snapshot import take_snapshot
from trainer.trained import TrainedModel

_LARGE = 1936, 1088
_SIDE = 224
_UNLABELLED_FROM = "2020-09-10"  # BSData's last day lacks most of its pits
_SPEC = Preprocessing(
    schema_version=3, least_scale=1, width=_SIDE, height=_SIDE, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
)  # as new models are trained


def measure(options: argparse.Namespace) -> Measured:
    """The speed on one large photograph; the answers on the spindle's test images, of which the shipped backbone's 96
    pixels let ours decode a sixteenth."""
    with tempfile.TemporaryDirectory(prefix="lineside-serving-") as name:
        right, agree, count = _answers(options.data, Path(name))
    note = f"{count} test images of a spindle at 96 pixels, position-disjoint; ours decodes JPEGs at a reduced scale"
    return Measured(
        [
            *_speed(options.data, runs=20 if options.quick else 200),
            Figure(name="decode_accuracy_lost", value=right["opencv"] - right["lineside"], note=note),
            Figure(name="decode_agreement", value=agree, note=f"same class, of {note}"),
        ],
        {"accuracy": right},
    )


def _speed(data: Path, *, runs: int) -> list[Figure]:
    source = next(iter(sorted((data / "bsdata").rglob("*.jpg"))))
    with Image.open(source) as image:
        held = io.BytesIO()
        image.convert("RGB").resize(_LARGE).save(held, "JPEG", quality=90)
    calls = {"lineside": partial(ours, held.getvalue(), _SPEC), "opencv": partial(opencv, held.getvalue(), _SPEC)}
    found = {
        kind: each.p50_seconds for kind, each in measure_interleaved(calls, runs=runs, clock=time.thread_time).items()
    }
    note = f"processor time, p50 of {runs} in turn, a JPEG of {_LARGE[0]}x{_LARGE[1]} to {_SIDE} pixels as float32"
    return [
        Figure(name="decode_speedup", value=found["opencv"] / found["lineside"], note=note),
        *(Figure(name=f"decode_{kind}_p50", value=value, unit="s", note=note) for kind, value in found.items()),
    ]


def ours(image: bytes, spec: Preprocessing) -> NDArray[np.float32]:
    """[1, 3, h, w] as a station makes it."""
    return prepare(decode(image, spec), spec)


def opencv(image: bytes, spec: Preprocessing) -> NDArray[np.float32]:
    """[1, 3, h, w] as one would with OpenCV: every pixel decoded, then averaged over areas."""
    from benchmarks.serving.plain import decoded_small  # OpenCV comes with the extra `video`

    small = decoded_small(image, (spec.width, spec.height))
    mean, std = np.array(spec.mean, dtype=np.float32), np.array(spec.std, dtype=np.float32)
    scaled = (small.astype(np.float32) / 255 - mean) / std
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[np.newaxis])


def _answers(data: Path, folder: Path) -> tuple[dict[str, float], float, int]:
    """Accuracy either way, the share of equal classes, and of how many images."""
    spindle = read_set(data, "bsdata").only(lambda e: e.attributes["captured_at"] < _UNLABELLED_FROM)
    snapshot = take_snapshot(grouped_fold(spindle, fold=0), licence=Licence(production=False), seed=0)
    model = train(snapshot, chosen_base(), settings=TrainingSettings(strategy="tail", threads=1), out=folder)
    test = model.snapshot.of("test")
    truth = [model.record.labels.index(example.label) for example in test]
    found = {kind: _classes(model, test, way) for kind, way in (("lineside", ours), ("opencv", opencv))}
    right = {kind: float(np.mean(classes == truth)) for kind, classes in found.items()}
    return right, float(np.mean(found["lineside"] == found["opencv"])), len(test)


def _classes(
    model: TrainedModel, examples: tuple[Example, ...], way: Callable[[bytes, Preprocessing], NDArray[np.float32]]
) -> NDArray[np.intp]:
    import torch

    spec = model.record.preprocessing
    inputs = torch.from_numpy(np.concatenate([way(example.path.read_bytes(), spec) for example in examples]))
    with torch.inference_mode():
        classes: NDArray[np.intp] = model.module(inputs)[0].argmax(1).numpy()
    return classes
