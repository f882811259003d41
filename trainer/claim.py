"""From how many test images on an accuracy is claimed, and what is said of fewer."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.certificate import TaskMetrics

FEWEST = 20
"""Test images of good and of defect each, below which no accuracy is claimed; of a class, below which its figure is a
guess."""


def claimed(good: int, defective: int) -> bool:
    """Whether so many test images carry a claim."""
    return min(good, defective) >= FEWEST


def counted(right: int, images: int) -> str:
    """In place of an accuracy.

    >>> counted(11, 12)
    '11 of 12 right: too few to claim an accuracy'
    """
    return f"{right} of {images} right: too few to claim an accuracy"


def enough(metrics: TaskMetrics, good: Sequence[str]) -> bool:
    """Whether the images behind `metrics` carry a claim; so do metrics that are older than the confusion."""
    images = {label: sum(row.values()) for label, row in metrics.confusion.items()}
    passing = sum(count for label, count in images.items() if label in good)
    return not images or claimed(passing, metrics.examples - passing)


def quality(metrics: TaskMetrics, good: Sequence[str]) -> str:
    """In words: balanced accuracy and AUROC, or what was counted where that claims nothing."""
    if metrics.accuracy is not None and not enough(metrics, good):
        return counted(round(metrics.accuracy * metrics.examples), metrics.examples)
    return f"balanced accuracy {_share(metrics.balanced_accuracy)}, AUROC {_share(metrics.auroc)}"


def constant(metrics: TaskMetrics, good: Sequence[str]) -> str:
    """In words, what always giving the commoner answer would reach."""
    if metrics.best_constant is not None and not enough(metrics, good):
        return f"{round(metrics.best_constant * metrics.examples)} of {metrics.examples} right"
    return f"an accuracy of {_share(metrics.best_constant)}"


def _share(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
