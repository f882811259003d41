"""How a row of means went: moments at every time scale, and a few of the means themselves, in bounded memory.

A wander that is slower than a window makes neighbouring means alike, so that n of them tell less than n independent
ones would. How much less is read off the variance-time curve: means over blocks of b neighbours vary g(b) times as
much as they would if neighbours were unrelated, and g levels off once blocks are longer than the memory (Allan 1966,
"Statistics of atomic frequency standards", Proc. IEEE 54; Leland et al. 1994, "On the self-similar nature of Ethernet
traffic", IEEE/ACM Transactions on Networking 2). Blocks double, so that a month takes as little room as an hour (Yeh
and Schmeiser 2000, "Simulation output analysis via dynamic batch means", Winter Simulation Conference).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from drift.quantile import chi2_quantile

Floats = NDArray[np.floating[Any]]
Row = tuple[float, ...]

_LEAST_BLOCKS = 8  # of a time scale, before it is believed
_KINSHIP_BY_CHANCE = 1.5  # over the root of the number of fours: the most of some twenty unrelated entries
_CHANCE = 0.999  # a scale on which unrelated neighbours would vary as much more often than 1 in 1,000 says nothing


class Scale(BaseModel):
    """Means over 2^k neighbours: how many, the sums of them and of their squares, and the one that waits for a pair."""

    model_config = ConfigDict(frozen=True)

    count: int = 0
    total: Row = ()
    squares: Row = ()
    waiting: Row | None = None

    def add(self, means: Floats) -> tuple[Scale, Floats]:
        """With more means [n, m]; returns also the means [n // 2, m] of the pairs that are complete now."""
        before = (np.array(self.total), np.array(self.squares)) if self.total else (0.0, 0.0)
        row = means if self.waiting is None else np.vstack([self.waiting, means])
        pairs = row[: len(row) // 2 * 2].reshape(-1, 2, means.shape[1]).mean(axis=1)
        after = Scale(
            count=self.count + len(means),
            total=_stored(before[0] + means.sum(axis=0)),
            squares=_stored(before[1] + (means**2).sum(axis=0)),
            waiting=_stored(row[-1]) if len(row) % 2 else None,
        )
        return after, pairs

    def variance(self) -> Floats:
        """Variance [m] of the means of this scale."""
        mean = np.array(self.total) / self.count
        return np.maximum(np.array(self.squares) / self.count - mean**2, 0.0) * self.count / max(self.count - 1, 1)


class Course(BaseModel):
    """A row of means so far; a value. At most `most` of the means are kept, evenly spread over all that were seen."""

    model_config = ConfigDict(frozen=True)

    most: int = Field(ge=2)
    seen: int = 0
    every: int = Field(default=1, description="one mean in so many is kept")
    kept: tuple[Row, ...] = ()
    origin: Row = Field(default=(), description="taken off before squares are summed")
    scales: tuple[Scale, ...] = ()

    def add(self, means: Floats) -> Course:
        """With more means [n, m], in order."""
        if len(means) == 0:
            return self
        origin = np.array(self.origin) if self.origin else np.asarray(means[0], np.float64)
        every, kept = self._thinned(means)
        return Course(
            most=self.most,
            seen=self.seen + len(means),
            every=every,
            kept=kept,
            origin=_stored(origin),
            scales=_cascade(self.scales, means - origin),
        )

    def _thinned(self, means: Floats) -> tuple[int, tuple[Row, ...]]:
        every, seen = self.every, self.seen + len(means)
        while -(-seen // every) > self.most:
            every *= 2
        fresh = means[np.arange(self.seen, seen) % every == 0]
        return every, (*self.kept[:: every // self.every], *(_stored(mean, 7) for mean in fresh))

    def mean(self) -> Floats:
        """Mean [m] of all that was seen."""
        first = self.scales[0]
        return np.array(self.origin) + np.array(first.total) / first.count

    def variance(self) -> Floats:
        """Variance [m] of all that was seen."""
        return self.scales[0].variance()

    def inefficiency(self) -> Floats:
        """How many neighbours tell as much as one independent mean would, entry by entry [m], 1 or more: the highest
        g(b) over all time scales that were seen often enough and that chance does not explain. A memory of the
        length t shows as 2 t. It cannot show more than an
        eighth of what was seen, and what goes astray for ever shows at least a sixteenth."""
        least = self.variance()
        found = np.ones(len(least))
        for k, scale in enumerate(self.scales):
            if k and scale.count >= _LEAST_BLOCKS:
                factor = _ratio(scale.variance() * 2**k, least)
                degrees = scale.count - 1
                sure = factor > chi2_quantile(_CHANCE, degrees) / degrees
                found = np.maximum(found, np.where(sure, factor, 1.0))
        return found

    def kinship(self) -> float:
        """0..1: how much four neighbours repeat each other in the entry where they do so most, beyond what chance would
        show (0: unrelated, 1: the same)."""
        if len(self.scales) < 3 or self.scales[2].count < _LEAST_BLOCKS:
            return 0.0
        likeness = (_ratio(self.scales[2].variance() * 4, self.variance()) - 1.0) / 3.0
        return float(np.clip(likeness.max() - _KINSHIP_BY_CHANCE / np.sqrt(self.scales[2].count), 0.0, 1.0))


def _cascade(scales: tuple[Scale, ...], means: Floats) -> tuple[Scale, ...]:
    after = list(scales)
    k = 0
    while len(means):
        if k == len(after):
            after.append(Scale())
        after[k], means = after[k].add(means)
        k += 1
    return tuple(after)


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.ones(len(below)), where=below > 1e-15)


def _stored(values: Any, digits: int = 10) -> Row:
    return tuple(float(f"{value:.{digits}g}") for value in np.asarray(values, np.float64))
