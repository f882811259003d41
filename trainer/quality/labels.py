"""Labels that are probably wrong: where a model that never saw the image is sure of another class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from contracts.quality import Finding
from trainer.course import Course, Material
from trainer.quality.report import MOST_SHOWN
from trainer.split import folds

_FOLDS = 5
_UNBELIEVABLE = 0.1


def out_of_fold(course: Course, material: Material, *, seed: int = 0) -> NDArray[np.float64]:
    """Probabilities [n, k] of each image by a logistic head on frozen features that was fitted without its group."""
    return left_out(course, material, folds(material.examples, _FOLDS, seed=seed))


def left_out(course: Course, material: Material, parts: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """Probabilities [n, k] of the images of each part by a head that was fitted without that part; even ones for images
    of no part."""
    fit = course.regularisation(material)
    found = torch.full((len(material.examples), len(course.labels)), 1 / len(course.labels), dtype=torch.float64)
    for part in parts:
        if part:
            head = course.head(course.lesson(material.without(part)), fit)
            logits = course.says(head, material.rows(part).features)
            found[torch.tensor(part)] = logits.double().softmax(1)
    return np.asarray((found / found.sum(1, keepdim=True)).numpy())


def label_errors(course: Course, material: Material, probabilities: NDArray[np.float64]) -> list[Finding]:
    """Confident learning (Northcutt, Jiang & Chuang, JAIR 2021; cleanlab): the images whose label the others deny,
    least believable first; only such to whose label the model gives a tenth at most, since a weak model denies many."""
    from cleanlab.filter import find_label_issues

    given = np.array([course.labels.index(example.label) for example in material.examples])
    rows = find_label_issues(
        given, probabilities, return_indices_ranked_by="self_confidence", filter_by="both", n_jobs=1
    )  # fmt: skip
    rows = [int(row) for row in rows if probabilities[row, given[row]] <= _UNBELIEVABLE]
    if not rows:
        return []
    right = float((probabilities.argmax(1) == given).mean())
    first = material.examples[rows[0]]
    other = course.labels[int(probabilities[rows[0]].argmax())]
    return [
        Finding(
            kind="label-errors",
            weight="warning",
            count=len(rows),
            text=f"{len(rows)} labels are probably wrong ({len(rows) / len(given):.1%}; first: {first.path.name} is "
            f"{first.label!r}, looks like {other!r})",
            remedy="look at them first; they were judged by a plain head on frozen features, which is right on "
            f"{right:.0%} of the images it has not seen",
            images=_paths(material, rows[:MOST_SHOWN]),
        )
    ]


def _paths(material: Material, rows: Sequence[int]) -> tuple[tuple[Path, ...], ...]:
    return tuple((material.examples[row].path,) for row in rows)
