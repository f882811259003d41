"""How good a bundle or a run of verdicts is, against the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from contracts.certificate import TaskMetrics
from contracts.report import Figure
from lineside.demo.scene import Labelled
from lineside.stream.pictures import read_picture
from runtime.bundle import Bundle
from runtime.metrics import auroc, task_metrics, wilson_interval
from runtime.preprocessing import prepare
from runtime.session import Session
from trainer.trained import TrainedModel


@dataclass(frozen=True)
class Quality:
    """Quality of OK / NG against good / defect. Shares are 0..1, None where undefined."""

    examples: int
    accuracy: float | None
    balanced_accuracy: float | None
    auroc: float | None
    best_constant: float | None
    recall_good: float | None
    recall_defect: float | None
    note: str

    def figures(self, name: str) -> list[Figure]:
        """`accuracy_NAME`, `balanced_accuracy_NAME`, ... for the report."""
        interval = None
        if self.accuracy is not None:
            interval = wilson_interval(round(self.accuracy * self.examples), self.examples)
        return [
            Figure(name=f"accuracy_{name}", value=self.accuracy, interval=interval, note=self.note),
            Figure(name=f"balanced_accuracy_{name}", value=self.balanced_accuracy, note=self.note),
            Figure(name=f"auroc_{name}", value=self.auroc, note=self.note),
            Figure(name=f"best_constant_{name}", value=self.best_constant, note=self.note),
            Figure(name=f"recall_good_{name}", value=self.recall_good, note=self.note),
            Figure(name=f"recall_defect_{name}", value=self.recall_defect, note=self.note),
        ]


def quality_of_bundle(bundle: Bundle, examples: Iterable[Labelled], note: str, *, threads: int = 1) -> Quality:
    """The bundle's default variant on labelled images, through the runtime that serves it."""
    session = Session(bundle, threads=threads)
    rows, labels = [], []
    for example in examples:
        rows.append(session.infer(prepare(example.image, bundle.manifest.preprocessing)).probabilities)
        labels.append(example.label)
    return _from_metrics(task_metrics(np.stack(rows), labels, bundle.manifest), note)


def quality_of_run(model: TrainedModel, examples: Iterable[Labelled], note: str) -> Quality:
    """A trained model as it is, before any export."""
    spec, rows, labels = model.record.preprocessing, [], []
    with torch.inference_mode():
        for example in examples:
            rows.append(model.module(torch.from_numpy(prepare(example.image, spec)))[0][0])
            labels.append(example.label)
    probabilities = (torch.stack(rows) / model.record.temperature).softmax(1).numpy()
    return _from_metrics(task_metrics(probabilities, labels, model.record), note)


def clearness(bundle: Bundle, threads: int = 1) -> Callable[[Path], float]:
    """The bundle's defect score of a picture, 0..1."""
    session = Session(bundle, threads=threads)
    good = [label in bundle.manifest.good_labels for label in bundle.manifest.labels]

    def score(path: Path) -> float:
        answer = session.infer(prepare(read_picture(path), bundle.manifest.preprocessing))
        return float(answer.probabilities[~np.array(good)].sum())

    return score


def _from_metrics(metrics: TaskMetrics, note: str) -> Quality:
    return Quality(
        examples=metrics.examples,
        accuracy=metrics.accuracy,
        balanced_accuracy=metrics.balanced_accuracy,
        auroc=metrics.auroc,
        best_constant=metrics.best_constant,
        recall_good=metrics.recall_good,
        recall_defect=metrics.recall_defect,
        note=note,
    )


def quality_of_verdicts(pairs: Sequence[tuple[bool, bool, float]], note: str) -> Quality:
    """Verdicts as the line got them: (stopped, truly defect, defect score) for each part."""
    stopped = np.array([pair[0] for pair in pairs], dtype=bool)
    defect = np.array([pair[1] for pair in pairs], dtype=bool)
    scores = np.array([pair[2] for pair in pairs], dtype=np.float64)
    recall_good = float(np.mean(~stopped[~defect])) if (~defect).any() else None
    recall_defect = float(np.mean(stopped[defect])) if defect.any() else None
    both = recall_good is not None and recall_defect is not None
    return Quality(
        examples=len(pairs),
        accuracy=float(np.mean(stopped == defect)) if pairs else None,
        balanced_accuracy=((recall_good or 0.0) + (recall_defect or 0.0)) / 2 if both else None,
        auroc=auroc(scores, defect) if both else None,
        best_constant=max(float(defect.mean()), 1 - float(defect.mean())) if pairs else None,
        recall_good=recall_good,
        recall_defect=recall_defect,
        note=note,
    )
