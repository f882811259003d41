"""Do a variant's further answers (severity, heat, boxes) still say what the trained model says?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from contracts.preprocessing import Preprocessing
from contracts.tasks import TaskCertificate
from exporter.settings import Limits
from exporter.source import Labelled, Source
from runtime.tasks import box_of, overlap
from trainer.dataset import Example
from trainer.evaluation.tasks import Further, LevelAnswers, PlaceAnswers, boxes_found, level_error

_ANY_SIZE = (1000, 1000)  # boxes of the same image are compared, wherever their pixels lie


def certify_tasks(
    mine: Sequence[Further], theirs: Sequence[Further], examples: Sequence[Labelled], source: Source, *, test: int
) -> TaskCertificate | None:
    """The differences over all images, and the figures of the first `test` ones; None without tasks."""
    if source.tasks is None:
        return None
    defects = [row for row, example in enumerate(examples) if example.label not in source.good_labels]
    pairs = [(mine[row], theirs[row]) for row in defects]
    level, other_level = (_level_error(said[:test], examples[:test], source) for said in (mine, theirs))
    found, other_found = (_boxes_found(said[:test], examples[:test], source) for said in (mine, theirs))
    return TaskCertificate(
        severity_difference=_largest([(one.severity, other.severity) for one, other in zip(mine, theirs, strict=True)]),
        heat_difference=_largest([(one.heat, other.heat) for one, other in zip(mine, theirs, strict=True)]),
        smallest_overlap=_smallest_overlap(pairs, source.preprocessing) if source.tasks.location else None,
        level_error=level,
        reference_level_error=other_level,
        boxes_found=found,
        reference_boxes_found=other_found,
    )


def task_objections(tasks: TaskCertificate | None, levels: int, limits: Limits) -> list[str]:
    """Why a variant does not pass: a task that got worse by more than `limits.task_drop`, for severity as a share of
    the scale's `levels` above none."""
    if tasks is None:
        return []
    found = []
    if tasks.level_error is not None and tasks.reference_level_error is not None:
        worse = (tasks.level_error - tasks.reference_level_error) / levels
        if worse > limits.task_drop:
            found.append(f"the severity is {worse:.1%} of the scale further off, more than {limits.task_drop:.1%}")
    if tasks.boxes_found is not None and tasks.reference_boxes_found is not None:
        worse = tasks.reference_boxes_found - tasks.boxes_found
        if worse > limits.task_drop:
            found.append(f"{worse:.1%} fewer boxes lie on their mark, more than {limits.task_drop:.1%}")
    return found


def _level_error(said: Sequence[Further], examples: Sequence[Labelled], source: Source) -> float | None:
    scale = source.tasks.severity if source.tasks else None
    known = _with_columns(examples)
    if scale is None or len(known) < len(examples):
        return None
    answers = LevelAnswers.of(known, said, scale, source.good_labels)
    return level_error(answers, np.arange(len(answers.true)))


def _boxes_found(said: Sequence[Further], examples: Sequence[Labelled], source: Source) -> float | None:
    known = _with_columns(examples)
    if source.tasks is None or source.tasks.location is None or len(known) < len(examples):
        return None
    answers = PlaceAnswers.of(known, said, source.preprocessing, source.good_labels)
    return boxes_found(answers, np.arange(len(answers.boxes)))


def _with_columns(examples: Sequence[Labelled]) -> list[Example]:
    """Those whose manifest row is known."""
    return [example for example in examples if isinstance(example, Example)]


def _largest(pairs: Sequence[tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]]) -> float | None:
    """Difference of probabilities, of pairs of logits."""
    differences = [
        float(np.abs(_chance(one) - _chance(other)).max())
        for one, other in pairs
        if one is not None and other is not None
    ]
    return min(1.0, max(differences)) if differences else None


def _chance(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    chance: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
    return chance


def _smallest_overlap(pairs: Sequence[tuple[Further, Further]], spec: Preprocessing) -> float | None:
    overlaps = []
    for pair in pairs:
        one, other = (
            box_of(said.heat, said.distances, spec.source_size or _ANY_SIZE, _whole(spec))
            for said in pair
            if said.heat is not None and said.distances is not None
        )
        overlaps.append(overlap(one, other))
    return min(overlaps) if overlaps else None


def _whole(spec: Preprocessing) -> Preprocessing:
    """The same grid of inputs over an image of any size."""
    return spec.model_copy(update={"region_of_interest": None, "region_polygon": None})
