"""One training by one protocol: what its int8 bundle answers to every test image, one pass each, and what it took."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from contracts.bundle import MANIFEST_NAME
from exporter.export import export
from runtime.bundle import Bundle, open_bundle
from runtime.preprocessing import decode, prepare
from runtime.session import Session
from trainer.bases.backbone import BaseModel
from trainer.clock import of_the_processor
from trainer.dataset import Dataset, Example
from trainer.evaluate import predict
from trainer.licence import found
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.snapshot import take_snapshot
from trainer.trained import RUN_NAME, TrainedModel, load_run

_SHIPPED = "onnxruntime-cpu/int8"


def play(dataset: Dataset, base: BaseModel, settings: TrainingSettings, work: Path) -> dict[str, Any]:
    """Train on the stated split, export, and ask the int8 bundle. What was done in `work` before a kill is taken
    over."""
    return ask(taught(dataset, base, settings, work), work / "bundle", threads=settings.threads)


def rehearse(dataset: Dataset, base: BaseModel, settings: TrainingSettings, work: Path) -> dict[str, Any]:
    """Train on the stated split, and ask the network as it was trained."""
    model = taught(dataset, base, settings, work)
    return {"train_seconds": model.record.seconds, **_said(model)}


def taught(dataset: Dataset, base: BaseModel, settings: TrainingSettings, work: Path) -> TrainedModel:
    """The run in `work`, trained now where it is not there; one that was killed goes on."""
    if (work / "run" / RUN_NAME).exists():
        return load_run(work / "run")
    snapshot = take_snapshot(dataset, licence=found(Path(dataset.source)), seed=settings.seed)
    with of_the_processor(settings.threads):
        return train(snapshot, base, settings=settings, out=work / "run", resume=True)


def ask(model: TrainedModel, out: Path, *, threads: int) -> dict[str, Any]:
    """The bundle of a run, and its answers to the run's test images."""
    began = time.monotonic()
    bundle = open_bundle(out) if (out / MANIFEST_NAME).exists() else export(model, out, threads=threads)
    seconds, test = time.monotonic() - began, model.snapshot.of("test")
    certificate = next(item for item in bundle.manifest.certificates if item.variant == _SHIPPED)
    said = _said(model)
    torch.set_num_threads(1)
    return {
        "train_seconds": model.record.seconds,
        "threads": threads,
        "export_seconds": seconds,
        "certified": certificate.passed,
        "latency_seconds": certificate.latency.p50_seconds,
        "cannot_promise": list(model.record.cannot_promise),
        "details": model.record.details,
        **said,
        "int8": _answers(bundle, test).round(5).tolist(),
    }


def _said(model: TrainedModel) -> dict[str, Any]:
    """What the network answers to every test image, and by which line it decides."""
    test, record = model.snapshot.of("test"), model.record
    logits = predict(model.module, test, record.preprocessing) / record.temperature
    return {
        "labels": list(record.labels),
        "good": list(record.good_labels),
        "thresholds": record.thresholds.model_dump(mode="json"),
        "images": [example.sha256 for example in test],
        "float": logits.double().softmax(1).numpy().round(5).tolist(),
    }


def _answers(bundle: Bundle, examples: Sequence[Example]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Probabilities [n, k] as the agent would get them."""
    session, spec = Session(bundle, variant=_SHIPPED, threads=1), bundle.manifest.preprocessing
    rows = [session.infer(prepare(decode(e.path.read_bytes(), spec), spec)).probabilities for e in examples]
    return np.stack(rows).astype(np.float64)
