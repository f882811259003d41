"""How well answers suit the labels, and how sure a difference is, where the images of one group are not independent."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from torch import Tensor, nn

from trainer.threshold import best_temperature


def standard_error(values: Tensor, groups: Sequence[str]) -> float:
    """Of the mean of `values` [n], where those of one group are not independent (Liang & Zeger, 1986)."""
    totals: dict[str, float] = defaultdict(float)
    for value, group in zip((values - values.mean()).tolist(), groups, strict=True):
        totals[group] += value
    count = len(totals)
    if count < 2:
        return math.inf
    return math.sqrt(sum(total**2 for total in totals.values()) * count / (count - 1)) / len(values)


def cheapest(losses: Sequence[Tensor], groups: Sequence[str], *, worth: float = 0.0) -> tuple[int, float, float]:
    """The first, in the order of preference (the cheapest, say), whose mean loss lies within one standard error, over
    groups, of the lowest, or within what a dearer one is `worth` (nats), and is not above that of the very first; how
    far it is behind the lowest, and how far it might be."""
    best = min(range(len(losses)), key=lambda number: float(losses[number].mean()))
    for number, loss in enumerate(losses):
        difference = loss - losses[best]
        behind, allowed = float(difference.mean()), max(standard_error(difference, groups), worth)
        if number == best or (behind <= allowed and float((loss - losses[0]).mean()) <= 0):
            return number, behind, allowed
    raise AssertionError("the best one is within its own error")


def losses_of(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """[n] float64: weighted cross-entropy of logits [n, k] at the temperature that suits them best, for targets [n, k]
    that are probabilities."""
    temperature, _ = best_temperature(logits, targets, weights)
    return (cross_entropy(logits / temperature, targets) * weights).double()


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """[n], for targets [n, k] that are probabilities."""
    return -(targets * nn.functional.log_softmax(logits, dim=1)).sum(1)
