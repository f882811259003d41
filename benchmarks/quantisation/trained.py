"""One training, its int8 files, and what each of them answers: measured once, judged later."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quantisation.targets import disagreements, saturating
from exporter.graph import export_graph
from exporter.precision import make_int8
from exporter.qat.learn import Learned
from exporter.qat.route import PTQ, QAT, candidates, judge
from exporter.qat.settings import QatSettings
from exporter.qat.write import SYMMETRIC
from exporter.settings import ExportSettings
from exporter.source import Source, source_of
from runtime.latency import fair_clock, measure_interleaved
from runtime.preprocessing import decode, prepare
from runtime.session import Session
from trainer.bases.backbone import BaseModel
from trainer.clock import of_the_processor
from trainer.dataset import Dataset, Example
from trainer.licence import found
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.snapshot import take_snapshot
from trainer.trained import RUN_NAME, TrainedModel, load_run

FP32 = "fp32"
_EXPORT = ExportSettings()
_SATURATION_IMAGES, _LATENCY_RUNS = 64, 200


def play(dataset: Dataset, base: BaseModel, settings: TrainingSettings, qat: QatSettings, work: Path) -> dict[str, Any]:
    """Train on the stated split (a training that `work` has is taken over), quantise after it and by training on, and
    ask every file once about each test image, from the encoded image on. `judged` is what the validation images, which
    choose, say of each file. All images together tell where the graphs of x86 and of TensorRT differ."""
    model = _trained(dataset, base, settings, work)
    source, snapshot = source_of(model), model.snapshot
    files = {FP32: work / "fp32.onnx", PTQ: work / "int8.onnx"}
    export_graph(source.module, source.signature, files[FP32])
    make_int8(source, files[FP32], files[PTQ], work, settings=_EXPORT)
    began = time.process_time()
    with of_the_processor(settings.threads):
        learned, made = candidates(
            source, work, settings=qat, calibration=_EXPORT.calibration_images, tell=partial(print, flush=True)
        )
    seconds = time.process_time() - began
    files |= made
    judged = judge(source, {name: file for name, file in files.items() if name != FP32})
    test = list(snapshot.of("test"))
    everything = list(snapshot.of("train", "validation", "test"))
    same, symmetric = (_logits(source, file, everything) for file in (files[QAT], work / SYMMETRIC))
    few = list(_inputs(source, everything[:: max(1, len(everything) // _SATURATION_IMAGES)]))
    return {
        "labels": list(source.labels),
        "images": [example.sha256 for example in test],
        "logits": {name: _logits(source, file, test).round(4).tolist() for name, file in files.items()},
        "judged": {name: asdict(each) for name, each in judged.items()},
        "learning": _learning(learned, seconds),
        "latency": _latency(source, files, next(_inputs(source, test))),
        "compared": len(everything),
        "disagreements": disagreements(symmetric, same, [example.sha256 for example in everything]),
        "saturating": saturating(work / SYMMETRIC, few),
    }


def _trained(dataset: Dataset, base: BaseModel, settings: TrainingSettings, work: Path) -> TrainedModel:
    if (work / "run" / RUN_NAME).exists():
        return load_run(work / "run")
    snapshot = take_snapshot(dataset, licence=found(Path(dataset.source)), seed=settings.seed)
    with of_the_processor(settings.threads):
        return train(snapshot, base, settings=settings, out=work / "run", resume=True)


def _inputs(source: Source, examples: Sequence[Example]) -> Iterator[NDArray[np.float32]]:
    spec = source.preprocessing
    return (prepare(decode(example.path.read_bytes(), spec), spec) for example in examples)


def _logits(source: Source, file: Path, examples: Sequence[Example]) -> NDArray[np.float32]:
    session = _session(source, file)
    return np.stack([session.infer(tensor).logits for tensor in _inputs(source, examples)])


def _latency(source: Source, files: Mapping[str, Path], tensor: NDArray[np.float32]) -> dict[str, float]:
    """Median seconds of the processor by file, measured in turn."""
    sessions = {name: _session(source, file) for name, file in files.items()}
    calls = {name: partial(session.infer, tensor) for name, session in sessions.items()}
    timed = measure_interleaved(calls, runs=_LATENCY_RUNS, clock=fair_clock(sessions.values()))
    return {name: each.p50_seconds for name, each in timed.items()}


def _session(source: Source, file: Path) -> Session:
    return Session.of_model(file.read_bytes(), variant=file.stem, signature=source.signature)


def _learning(learned: Learned, seconds: float) -> dict[str, Any]:
    tuned = learned.tuned
    return {
        "kept_step": tuned.best.step,
        "hurried": tuned.hurried,
        "cpu_seconds": round(seconds, 1),
        "checks": [(check.step, round(check.held_out_loss, 5)) for check in tuned.checks],
    }
