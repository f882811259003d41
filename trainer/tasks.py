"""What the manifest says beside the class: levels of severity from a column, places from marked boxes; as targets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from contracts.errors import DatasetError
from contracts.preprocessing import Preprocessing
from contracts.tasks import SeverityScale
from runtime.preprocessing import Box
from runtime.tasks import views
from trainer.dataset import Example
from trainer.marks import COLUMN, boxes_of, size_of

CLASS, SEVERITY, LOCATION = "class", "severity", "location"
_MOST_LEVELS = 9  # above none, up to which whole numbers are taken as the levels themselves
_LEVELS = 4  # with none, of a column that measures something, where nobody said how many


@dataclass(frozen=True)
class TaskLesson:
    """Of n images with t inputs each: `levels` [n] int64; `marks` [n, t, m, 4] float32, left, top, right and bottom of
    up to m marked defects in each input's own -1..1, not a number where there are fewer; weights [n] of mean 1, 0
    where nothing is known. `pull`: what each task's loss counts; None: it is learned."""

    levels: Tensor
    level_weights: Tensor
    marks: Tensor
    mark_weights: Tensor
    pull: Mapping[str, float] | None

    def rows(self, index: Tensor) -> TaskLesson:
        """That of some images."""
        return TaskLesson(
            self.levels[index], self.level_weights[index], self.marks[index], self.mark_weights[index], self.pull
        )


def severity_scale(examples: Sequence[Example], column: str, levels: int | None) -> SeverityScale:
    """The scale that a column's values on the training images make: themselves where they are small whole numbers and
    no number of levels is asked for, otherwise levels (none included) that as many images each with a value above 0
    have. Raises DatasetError where the column tells too little."""
    known = [value for example in examples if (value := value_of(example, column)) is not None]
    values = np.array([value for value in known if value > 0])
    if not len(values):
        raise DatasetError(f"no training image has a value above 0 in the column {column!r}; name another one")
    if levels is None and values.max() <= _MOST_LEVELS and (values == values.round()).all():
        return SeverityScale(column=column, names=("none", *(str(n) for n in range(1, int(values.max()) + 1))))
    count = levels or _LEVELS
    cuts = np.quantile(values, np.arange(1, count - 1) / (count - 1))
    bounds = tuple(float(f"{cut:.4g}") for cut in cuts)
    if len(set(bounds)) < len(bounds):
        raise DatasetError(f"the column {column!r} has too few different values for {count} levels; ask for fewer")
    return SeverityScale(column=column, names=_names(bounds), bounds=bounds)


def value_of(example: Example, column: str) -> float | None:
    """What the column says of an image; None where it is empty. Raises DatasetError for what is no number."""
    text = example.attributes.get(column)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise DatasetError(f"{example.path}: {column} {text!r} is no number from 0 on; correct it or leave it empty")
    return value


def levels_of(examples: Sequence[Example], scale: SeverityScale, good: Sequence[str]) -> Tensor:
    """[n] int64; -1 where nothing is known. A good image without a value has none."""
    found = []
    for example in examples:
        value = value_of(example, scale.column)
        if value is None:
            found.append(0 if example.label in good else -1)
        else:
            found.append(scale.level_of(value))
    return torch.tensor(found, dtype=torch.int64)


def prove_legible(examples: Sequence[Example], good: Sequence[str], *, column: str | None, marks: bool) -> None:
    """Every value of the column, and every mark of a defective image, can be read: to be asked before a training, since
    the images that judge it are read after it. Raises DatasetError."""
    for example in examples:
        if column is not None:
            value_of(example, column)
        if marks and example.label not in good and (boxes := boxes_of(example)):
            _size_around(example, boxes)


def marks_of(examples: Sequence[Example], spec: Preprocessing, good: Sequence[str]) -> tuple[Tensor, Tensor]:
    """The marks [n, t, m, 4] of a `TaskLesson`, and whether it is known where an image's defects are [n] bool: where
    they are marked, and nowhere in a good image. Raises DatasetError, also for a mark outside its image."""
    boxes = [boxes_of(example) if example.label not in good else () for example in examples]
    most = max(1, *(len(each) for each in boxes)) if boxes else 1
    marks = torch.full((len(examples), spec.inputs, most, 4), math.nan)
    for row, (example, each) in enumerate(zip(examples, boxes, strict=True)):
        if each:
            marks[row, :, : len(each)] = torch.tensor(_in_inputs(example, each, spec))
    known = [bool(each) or example.label in good for example, each in zip(examples, boxes, strict=True)]
    return marks, torch.tensor(known, dtype=torch.bool)


def task_lesson(
    examples: Sequence[Example], weights: Tensor, good: Sequence[str], *,
    scale: SeverityScale | None, spec: Preprocessing | None, pull: Mapping[str, float] | None,
) -> TaskLesson:  # fmt: skip
    """What is known of each task, of images whose class counts as `weights` [n]. `scale` None: nothing of severity;
    `spec` None: nothing of places."""
    count = len(examples)
    levels = torch.full((count,), -1) if scale is None else levels_of(examples, scale, good)
    if spec is None:
        marks, known = torch.full((count, 1, 1, 4), math.nan), torch.zeros(count, dtype=torch.bool)
    else:
        marks, known = marks_of(examples, spec, good)
    return TaskLesson(levels, _shared(weights, levels >= 0), marks, _shared(weights, known), pull)


def _shared(weights: Tensor, known: Tensor) -> Tensor:
    """The weights of what is known, of mean 1 over all."""
    kept = weights * known
    return kept / kept.mean() if bool(known.any()) else kept


def _in_inputs(example: Example, boxes: Sequence[Box], spec: Preprocessing) -> list[list[list[float]]]:
    seen = views(_size_around(example, boxes), spec)
    return [[[2 * side - 1 for side in view.to_input(box)] for box in boxes] for view in seen]


def _size_around(example: Example, boxes: Sequence[Box]) -> tuple[int, int]:
    """Width and height of the image, in which the boxes have to begin."""
    width, height = size_of(example)
    if any(box[0] >= width or box[1] >= height for box in boxes):
        raise DatasetError(f"{example.path}: {COLUMN} marks a place outside its {width} x {height} pixels; correct it")
    return width, height


def _names(bounds: Sequence[float]) -> tuple[str, ...]:
    """In words.

    >>> _names((5.0, 12.5))
    ('none', 'up to 5', '5 to 12.5', 'above 12.5')
    """
    if not bounds:
        return "none", "some"
    between = [f"{low:g} to {high:g}" for low, high in pairwise(bounds)]
    return "none", f"up to {bounds[0]:g}", *between, f"above {bounds[-1]:g}"
