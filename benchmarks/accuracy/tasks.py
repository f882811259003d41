"""One trunk for class, severity and location against a network for each, whatever the class says of an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.metrics import auroc
from runtime.tasks import overlap
from trainer.bases.backbone import BaseModel
from trainer.clock import of_the_processor
from trainer.dataset import Dataset, Example
from trainer.evaluate import predict
from trainer.evaluation.tasks import LevelAnswers, PlaceAnswers, ask_beside, expected_level, order
from trainer.licence import found
from trainer.marks import boxes_of
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.snapshot import take_snapshot
from trainer.split import group_of
from trainer.tasks import CLASS, LOCATION, SEVERITY, value_of
from trainer.together import alone
from trainer.trained import RUN_NAME, TrainedModel, load_run

TASKS = (CLASS, SEVERITY, LOCATION)
TOGETHER = "together"
AREA = "pit_area_px2"
BESIDE: dict[str, Any] = {"tasks": (SEVERITY, LOCATION), "severity_column": AREA, "severity_levels": 4}
_FOUND = 0.3  # overlap of a box with a mark

Rows = NDArray[np.intp]


def play_tasks(dataset: Dataset, base: BaseModel, settings: TrainingSettings, name: str, work: Path) -> dict[str, Any]:
    """Train all tasks `together`, or the one of that name alone, on the stated split, and keep what the float network
    answers to every test image. What was done in `work` before a kill is taken over."""
    if (work / "run" / RUN_NAME).exists():
        return answers(load_run(work / "run"))
    snapshot = take_snapshot(dataset, licence=found(Path(dataset.source)), seed=settings.seed)
    chosen = settings if name == TOGETHER else alone(settings, name)
    with of_the_processor(settings.threads):
        return answers(train(snapshot, base, settings=chosen, out=work / "run", resume=True))


def answers(model: TrainedModel) -> dict[str, Any]:
    """Of each test image its hash and its defect score; where there are such heads its expected level, and of each
    marked defect the box, by hash."""
    record, test, network = model.record, model.snapshot.of("test"), model.module
    chances = (predict(network, test, record.preprocessing) / record.temperature).double().softmax(1).numpy()
    good = [record.labels.index(label) for label in record.good_labels]
    told: dict[str, Any] = {
        "train_seconds": record.seconds,
        "images": [example.sha256 for example in test],
        "good": list(record.good_labels),
        CLASS: (1 - chances[:, good].sum(1)).round(5).tolist(),
    }
    said = ask_beside(network, test, record.preprocessing)
    if record.tasks is not None and record.tasks.severity is not None:
        told[SEVERITY] = [round(expected_level(each.severity), 5) for each in said if each.severity is not None]
    if record.tasks is not None and record.tasks.location is not None:
        marked = [e.sha256 for e in test if e.label not in record.good_labels and boxes_of(e)]
        boxes = PlaceAnswers.of(test, said, record.preprocessing, record.good_labels).boxes
        told[LOCATION] = dict(zip(marked, boxes, strict=True))
    return told


def measured(name: str, cells: Sequence[dict[str, Any]], examples: Sequence[Example], rows: Rows) -> float | None:
    """The figure of one task, 0..1, over some rows of all cells' test images: AUROC of the class, share of pairs whose
    pit areas are in the right order, share of marked pits whose box overlaps a mark by 0.3."""
    chosen = [examples[row] for row in rows]
    if name == CLASS:
        scores = np.array([score for cell in cells for score in cell[CLASS]])[rows]
        return auroc(scores, np.array([example.label not in cells[0]["good"] for example in chosen]))
    if name == SEVERITY:
        expected = np.array([level for cell in cells for level in cell[SEVERITY]])[rows]
        areas = np.unique([value_of(example, AREA) or 0.0 for example in chosen], return_inverse=True)[1]
        groups = tuple(map(group_of, chosen))
        return order(
            LevelAnswers(areas.astype(np.int64), areas.astype(np.int64), expected, groups), np.arange(len(rows))
        )
    boxes = {image: box for cell in cells for image, box in cell[LOCATION].items()}
    hits = [
        max(overlap(boxes[example.sha256], mark) for mark in boxes_of(example)) >= _FOUND
        for example in chosen
        if example.sha256 in boxes
    ]
    return float(np.mean(hits)) if hits else None
