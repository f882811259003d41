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


def losses_of(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """[n] float64: weighted cross-entropy of logits [n, k] at the temperature that suits them best, for targets [n, k]
    that are probabilities."""
    temperature, _ = best_temperature(logits, targets, weights)
    return (cross_entropy(logits / temperature, targets) * weights).double()


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """[n], for targets [n, k] that are probabilities."""
    return -(targets * nn.functional.log_softmax(logits, dim=1)).sum(1)
