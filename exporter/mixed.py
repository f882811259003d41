"""Mixed precision: the fewest layers in float, the worst for their cost first, that keep int8 within its drop."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exporter.sensitivity import Layer


@dataclass(frozen=True)
class Loss:
    """Balanced accuracy of float minus that of int8, with the standard error of the paired difference."""

    drop: float
    error: float

    def within(self, most: float) -> bool:
        """Whether the images do not show that more than `most` is lost: toss-ups fall either way."""
        return self.drop - self.error <= most


Try = Callable[[Collection[str]], Loss]
"""Write the int8 file with these nodes in float, and say what it loses."""


def loss(mine: NDArray[np.bool_], theirs: NDArray[np.bool_], defect: NDArray[np.bool_]) -> Loss:
    """Of an int8 file whose decisions are right where `mine` [n] says so, against float's `theirs`; `defect` [n] tells
    the two kinds of parts. A kind that is missing does not count.

    >>> right, wrong = np.array([True, True, True, True]), np.array([True, True, True, False])
    >>> loss(wrong, right, np.array([False, False, True, True])).drop
    0.25
    """
    lost = theirs.astype(float) - mine.astype(float)
    kinds = [lost[kind] for kind in (defect, ~defect) if kind.any()]
    drop = float(np.mean([each.mean() for each in kinds]))
    variance = sum(float(np.square(each).sum()) / len(each) ** 2 for each in kinds) / len(kinds) ** 2
    return Loss(drop, float(np.sqrt(variance)))


def search(layers: Sequence[Layer], attempt: Try, *, most: float, budget: float) -> tuple[list[Layer], Loss]:
    """The layers to keep in float so that the loss is within `most`, and that loss; what was tried last is that.

    Layers come by their squared error for each multiplication, as many as fit into `budget` (a share of all
    multiplications): 1, 2, 4 and so on, until it suffices, then fewer again as long as it does. Where nothing suffices,
    the least loss.
    """
    worst = _affordable(sorted(layers, key=lambda layer: -(layer.error**2) / max(layer.share, 1e-9)), budget)
    tried: dict[int, Loss] = {}

    def enough(count: int) -> bool:
        if count not in tried:
            tried[count] = attempt([name for layer in worst[:count] for name in layer.nodes])
        return tried[count].within(most)

    failed, count = -1, 0
    while not enough(count) and count < len(worst):
        failed, count = count, min(len(worst), max(1, 2 * count))
    if tried[count].within(most):
        while count - failed > 1:
            middle = (failed + count) // 2
            failed, count = (failed, middle) if enough(middle) else (middle, count)
    else:
        count = min(tried, key=lambda each: (tried[each].drop, each))
    if count != list(tried)[-1]:
        attempt([name for layer in worst[:count] for name in layer.nodes])
    return worst[:count], tried[count]


def _affordable(layers: Sequence[Layer], budget: float) -> list[Layer]:
    """The first ones that fit; a layer that does not fit is left out, later ones may."""
    chosen, left = [], budget
    for layer in layers:
        if layer.share <= left:
            chosen.append(layer)
            left -= layer.share
    return chosen
