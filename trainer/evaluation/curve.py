"""What more images would bring: the error of the frozen features' linear head over the number of images, and its
continuation by a power law (Cortes, Jackel, Solla, Vapnik & Denker, NIPS 1993)."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trainer.course import Course, Material
from trainer.evaluation.report import LearningCurve
from trainer.rounds.head import Regularisation
from trainer.split import folds, group_of

_SHARES = (0.25, 0.5, 0.75, 1.0)
_FOLDS = 3
_POWERS = np.linspace(0.1, 1.0, 10)
_AHEAD = (2, 4)  # times the images
_FEWEST = 40  # images, below which a curve is noise


def learning_curve(course: Course, material: Material, *, fit: Regularisation, seed: int = 0) -> LearningCurve | None:
    """Balanced error 0..1 (mean of both kinds' error rates) out of three grouped folds, with a quarter, half, three
    quarters and all of the other groups, under a head that is fitted so; None for fewer than 40 images or where a fold
    lacks a kind."""
    if len(material.examples) < _FEWEST:
        return None
    parts = [part for part in folds(material.examples, _FOLDS, seed=seed) if part]
    points = []
    for share in _SHARES:
        counts, errors = [], []
        for part in parts:
            learned = _some(material.without(part), share, seed)
            error = _error(course, learned, material.rows(part), fit)
            if error is not None:
                counts.append(len(learned.examples))
                errors.append(error)
        if not errors:
            return None
        points.append((round(float(np.mean(counts))), float(np.mean(errors))))
    most = points[-1][0]
    expected = extrapolate(points, [most * times for times in _AHEAD])
    return LearningCurve(points=tuple(points), expected=expected)


def extrapolate(points: Sequence[tuple[int, float]], counts: Sequence[int]) -> tuple[tuple[int, float], ...]:
    """The error at `counts` images by the best a + b n^-c with a, b >= 0 and c from 0.1 to 1 (least squares); it never
    rises above the last point.

    >>> points = [(n, 0.05 + n**-0.5) for n in (100, 200, 300, 400)]
    >>> [(n, round(error, 3)) for n, error in extrapolate(points, [1600])]
    [(1600, 0.075)]
    """
    sizes = np.array([count for count, _ in points], dtype=np.float64)
    errors = np.array([error for _, error in points])
    _, floor, slope, power = min(_fit(sizes, errors, float(power)) for power in _POWERS)
    last = float(errors[-1])
    return tuple((count, min(last, floor + slope * count**-power)) for count in counts)


def _fit(sizes: NDArray[np.float64], errors: NDArray[np.float64], power: float) -> tuple[float, float, float, float]:
    """(squared residual, a, b, c)."""
    inverse = sizes**-power
    candidates = []
    slope, floor = np.polyfit(inverse, errors, 1)
    if slope >= 0 and floor >= 0:
        candidates.append((float(floor), float(slope)))
    candidates.append((0.0, max(0.0, float((inverse @ errors) / (inverse @ inverse)))))
    candidates.append((float(errors.mean()), 0.0))
    return min((float(((a + b * inverse - errors) ** 2).sum()), a, b, power) for a, b in candidates)


def _some(material: Material, share: float, seed: int) -> Material:
    """That share of the groups."""
    names = sorted({group_of(example) for example in material.examples})
    chosen = set(random.Random(seed).sample(names, max(2, round(share * len(names)))))
    return material.rows([row for row, example in enumerate(material.examples) if group_of(example) in chosen])


def _error(course: Course, learned: Material, held_out: Material, fit: Regularisation) -> float | None:
    kinds = {example.label in course.good for example in learned.examples}
    good = np.array([example.label in course.good for example in held_out.examples], dtype=bool)
    if len(kinds) < 2 or good.all() or not good.any():
        return None
    head = course.head(course.lesson(learned), fit)
    probabilities = course.says(head, held_out.features).softmax(1)
    passed = (probabilities[:, course.good_mask()].sum(1) > 0.5).numpy()
    return float(((~passed[good]).mean() + passed[~good].mean()) / 2)
