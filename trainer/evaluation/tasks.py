"""Severity and location judged alone on images that chose nothing: whatever the class says, and with intervals over
groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from contracts.preprocessing import Preprocessing
from contracts.tasks import PixelBox, SeverityScale, Tasks
from runtime.metrics import bootstrap_interval
from runtime.preprocessing import Box
from runtime.tasks import box_of, level_of, overlap, peak_of
from trainer.dataset import Example
from trainer.device import device_of
from trainer.evaluation.intervals import share_of
from trainer.evaluation.report import Estimate, LocationFigures, SeverityFigures, TaskFigures
from trainer.image import load_inputs
from trainer.marks import boxes_of, size_of
from trainer.network import Network
from trainer.snapshot import Snapshot
from trainer.split import group_of
from trainer.tasks import levels_of

_RESAMPLES = 400
_BATCH = 16  # network inputs
_OVERLAPS = (0.3, 0.5)
_POINTED, _ORDERED = 0.5, 0.7  # shares of marked defects and of pairs, below which a task is said to be weak

Rows = NDArray[np.intp]


class Further(Protocol):
    """One image's answers beside the class, as `runtime.session.Inference` has them."""

    @property
    def severity(self) -> NDArray[np.float32] | None: ...
    @property
    def heat(self) -> NDArray[np.float32] | None: ...
    @property
    def distances(self) -> NDArray[np.float32] | None: ...


@dataclass(frozen=True)
class Said:
    """Those of the network in torch."""

    severity: NDArray[np.float32] | None = None
    heat: NDArray[np.float32] | None = None
    distances: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class LevelAnswers:
    """Levels [n] of images and what the model says: `said` [n], and `expected` [n], the mean of its distribution."""

    true: NDArray[np.int64]
    said: NDArray[np.int64]
    expected: NDArray[np.float64]
    groups: tuple[str, ...]

    @classmethod
    def of(
        cls, examples: Sequence[Example], further: Sequence[Further], scale: SeverityScale, good: Sequence[str]
    ) -> LevelAnswers:
        """Of the images whose level is known."""
        levels = levels_of(examples, scale, good).numpy()
        rows = [int(row) for row in np.flatnonzero(levels >= 0)]
        logits = [_known(further[row].severity) for row in rows]
        said = np.array([level_of(each) for each in logits], dtype=np.int64)
        expected = np.array([expected_level(each) for each in logits])
        return cls(levels[rows], said, expected, tuple(group_of(examples[row]) for row in rows))


@dataclass(frozen=True)
class PlaceAnswers:
    """Of n defective images the marks and what the model says: a box each, and whether its peak lies in a mark."""

    boxes: tuple[PixelBox, ...]
    marks: tuple[tuple[Box, ...], ...]
    peaks: tuple[tuple[float, float], ...]
    groups: tuple[str, ...]

    @classmethod
    def of(
        cls, examples: Sequence[Example], further: Sequence[Further], spec: Preprocessing, good: Sequence[str]
    ) -> PlaceAnswers:
        """Of the defective images with a mark."""
        kept = [(e, f) for e, f in zip(examples, further, strict=True) if e.label not in good and boxes_of(e)]
        sizes = [size_of(example) for example, _ in kept]
        found = [(_known(f.heat), _known(f.distances), size) for (_, f), size in zip(kept, sizes, strict=True)]
        return cls(
            tuple(box_of(heat, distances, size, spec) for heat, distances, size in found),
            tuple(boxes_of(example) for example, _ in kept),
            tuple(peak_of(heat, size, spec) for heat, _, size in found),
            tuple(group_of(example) for example, _ in kept),
        )

    @cached_property
    def overlaps(self) -> NDArray[np.float64]:
        """[n] of each box with the mark that it overlaps most."""
        pairs = zip(self.boxes, self.marks, strict=True)
        return np.array([max(overlap(box, mark) for mark in marks) for box, marks in pairs])

    @cached_property
    def pointed(self) -> NDArray[np.bool_]:
        """[n] whether the hottest place lies in a mark (the pointing game: Zhang et al., ECCV 2016)."""
        pairs = zip(self.peaks, self.marks, strict=True)
        return np.array([any(_holds(mark, peak) for mark in marks) for peak, marks in pairs], dtype=bool)


def expected_level(logits: NDArray[np.float32]) -> float:
    """The mean of the distribution that cumulative logits [levels - 1] make: a rank finer than the level."""
    return float((1 / (1 + np.exp(-logits.astype(np.float64)))).sum())


def ask_beside(network: nn.Module, examples: Sequence[Example], spec: Preprocessing) -> list[Said]:
    """The network's further answers to the images as they are."""
    found: list[Said] = []
    if not isinstance(network, Network) or network.heads is None:
        return [Said() for _ in examples]
    with torch.inference_mode():
        for start in range(0, len(examples), max(1, _BATCH // spec.inputs)):
            some = examples[start : start + max(1, _BATCH // spec.inputs)]
            inputs = load_inputs(some, spec).to(device_of(network))
            answers = [part.cpu().numpy() for part in network.everything(inputs)[2:]]
            found.extend(_parted(answers, len(some), spec.inputs, network.heads.tasks))
    return found


def _parted(answers: Sequence[NDArray[np.float32]], images: int, inputs: int, tasks: Tasks) -> Iterable[Said]:
    left = list(answers)
    severity = left.pop(0) if tasks.severity is not None else None
    for image in range(images):
        part = slice(image * inputs, (image + 1) * inputs)
        yield Said(
            severity=None if severity is None else severity[image],
            heat=left[0][part] if left else None,
            distances=left[1][part] if left else None,
        )


def judge_tasks(network: nn.Module, snapshot: Snapshot, spec: Preprocessing, good: Sequence[str]) -> TaskFigures | None:
    """On the test split; None without further tasks."""
    if not isinstance(network, Network) or network.heads is None:
        return None
    test = snapshot.of("test")
    return task_figures(test, ask_beside(network, test, spec), network.heads.tasks, spec, good)


def task_figures(
    examples: Sequence[Example], further: Sequence[Further], tasks: Tasks, spec: Preprocessing, good: Sequence[str]
) -> TaskFigures:
    """Every task that there is."""
    severity = location = None
    if tasks.severity is not None:
        severity = severity_figures(LevelAnswers.of(examples, further, tasks.severity, good))
    if tasks.location is not None:
        location = location_figures(PlaceAnswers.of(examples, further, spec, good))
    return TaskFigures(severity=severity, location=location)


def weak_tasks(figures: TaskFigures) -> list[str]:
    """In words, which tasks do not do what they are there for: fewer than half of the marked defects pointed at, or
    levels in an order that is little better than chance. Nothing is said of what no test image tells."""
    said = []
    place, level = figures.location, figures.severity
    if place is not None and place.pointing.value is not None and place.pointing.value < _POINTED:
        said.append(
            f"Where the defect lies is a guess: the hottest place is in its mark in {place.pointing.value:.0%} of "
            f"{place.images} marked test images; do not act on the box. More marked images, or tiles, would help."
        )
    if level is not None and level.order.value is not None and level.order.value < _ORDERED:
        said.append(
            f"How severe a defect is, is little more than a guess: {level.order.value:.0%} of the pairs of test images "
            "are in the right order, half would be chance. More images of each level would help."
        )
    return said


def severity_figures(answers: LevelAnswers) -> SeverityFigures:
    """How far from the true level, and whether worse defects are called worse."""
    return SeverityFigures(
        images=len(answers.true),
        level_error=_estimate(partial(level_error, answers), answers.groups),
        within_one=share_of(np.abs(answers.said - answers.true) <= 1, answers.groups),
        order=_estimate(partial(order, answers), answers.groups),
    )


def location_figures(answers: PlaceAnswers) -> LocationFigures:
    """Whether the box and the peak lie where the mark is."""
    at = [share_of(answers.overlaps >= least, answers.groups) for least in _OVERLAPS]
    return LocationFigures(
        images=len(answers.boxes),
        boxes_at_30=at[0],
        boxes_at_50=at[1],
        mean_overlap=_estimate(partial(mean_overlap, answers), answers.groups),
        pointing=share_of(answers.pointed, answers.groups),
    )


def level_error(answers: LevelAnswers, rows: Rows) -> float | None:
    """Mean distance from the true level, in levels."""
    return float(np.abs(answers.said[rows] - answers.true[rows]).mean()) if len(rows) else None


def order(answers: LevelAnswers, rows: Rows) -> float | None:
    """Share of pairs of different levels whose expected levels lie in the same order, ties counted half; 0.5 is chance
    (the area under the ROC curve for more than two levels)."""
    true, expected = answers.true[rows], answers.expected[rows]
    worse = true[:, None] > true[None, :]
    if not worse.any():
        return None
    difference = (expected[:, None] - expected[None, :])[worse]
    return float((difference > 0).mean() + (difference == 0).mean() / 2)


def boxes_found(answers: PlaceAnswers, rows: Rows, *, least: float = _OVERLAPS[0]) -> float | None:
    """Share of marked images whose box overlaps a mark by `least`."""
    return float((answers.overlaps[rows] >= least).mean()) if len(rows) else None


def mean_overlap(answers: PlaceAnswers, rows: Rows) -> float | None:
    """Intersection over union of box and mark."""
    return float(answers.overlaps[rows].mean()) if len(rows) else None


def _estimate(statistic: Callable[[Rows], float | None], groups: Sequence[str]) -> Estimate:
    value = statistic(np.arange(len(groups)))
    if value is None or len(set(groups)) < 2:
        return Estimate(value=value)
    bounds = bootstrap_interval(statistic, len(groups), groups=groups, resamples=_RESAMPLES)
    low, high = bounds or (None, None)
    return Estimate(value=value, low=low, high=high)


def _holds(box: Box, place: tuple[float, float]) -> bool:
    return box[0] <= place[0] <= box[2] and box[1] <= place[1] <= box[3]


def _known(values: NDArray[np.float32] | None) -> NDArray[np.float32]:
    if values is None:
        raise ValueError("the model has not answered a task that it has")
    return values
