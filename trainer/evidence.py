"""How sure a difference between two networks is, where the images of one group are not independent."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from torch import Tensor


def standard_error(values: Tensor, groups: Sequence[str]) -> float:
    """Of the mean of `values` [n], where those of one group are not independent (Liang & Zeger, 1986)."""
    totals: dict[str, float] = defaultdict(float)
    for value, group in zip((values - values.mean()).tolist(), groups, strict=True):
        totals[group] += value
    count = len(totals)
    if count < 2:
        return math.inf
    return math.sqrt(sum(total**2 for total in totals.values()) * count / (count - 1)) / len(values)
