"""One training by one protocol: what its int8 bundle answers to every test image, one pass each, and what it took."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from contracts.bundle import Thresholds
from lineside.training import export_model
from runtime.bundle import Bundle
from runtime.decision import Rule
from runtime.preprocessing import decode, prepare
from runtime.session import Session
from trainer.backbone import BaseModel
from trainer.dataset import Dataset, Example
from trainer.evaluate import predict
from trainer.evaluation.figures import Answers
from trainer.licence import found
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.snapshot import take_snapshot

_SHIPPED = "onnxruntime-cpu/int8"


def play(dataset: Dataset, base: BaseModel, settings: TrainingSettings, work: Path) -> dict[str, Any]:
    """Train on the stated split, export, and ask the int8 bundle. A training that was killed in `work` goes on."""
    snapshot = take_snapshot(dataset, licence=found(Path(dataset.source)), seed=settings.seed)
    model = train(snapshot, base, settings=settings, out=work / "run", resume=True)
    began = time.monotonic()
    bundle = export_model(model, work / "bundle", threads=settings.threads)
    seconds, test = time.monotonic() - began, snapshot.of("test")
    certificate = next(item for item in bundle.manifest.certificates if item.variant == _SHIPPED)
    logits = predict(model.module, test, model.record.preprocessing) / model.record.temperature
    torch.set_num_threads(1)
    return {
        "train_seconds": model.record.seconds,
        "export_seconds": seconds,
        "certified": certificate.passed,
        "latency_seconds": certificate.latency.p50_seconds,
        "cannot_promise": list(model.record.cannot_promise),
        "details": model.record.details,
        "labels": list(bundle.manifest.labels),
        "good": list(bundle.manifest.good_labels),
        "thresholds": bundle.manifest.thresholds.model_dump(mode="json"),
        "images": [example.sha256 for example in test],
        "int8": _answers(bundle, test).round(5).tolist(),
        "float": logits.double().softmax(1).numpy().round(5).tolist(),
    }


def _answers(bundle: Bundle, examples: Sequence[Example]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Probabilities [n, k] as the agent would get them."""
    session, spec = Session(bundle, variant=_SHIPPED, threads=1), bundle.manifest.preprocessing
    rows = [session.infer(prepare(decode(e.path.read_bytes(), spec), spec)).probabilities for e in examples]
    return np.stack(rows).astype(np.float64)


def answers_of(cells: Sequence[dict[str, Any]], dataset: Dataset, *, variant: str = "int8") -> Answers:
    """The answers of several cells as one, each image with its group in `dataset`; an image that several cells judged
    counts several times, under its one group."""
    known = {example.sha256: example for example in dataset.examples}
    examples = [known[image] for cell in cells for image in cell["images"]]
    said = np.concatenate([np.asarray(cell[variant], dtype=np.float64) for cell in cells])
    first = cells[0]
    rule = Rule(tuple(first["labels"]), tuple(first["good"]), Thresholds.model_validate(first["thresholds"]))
    return Answers(tuple(examples), said, rule)
