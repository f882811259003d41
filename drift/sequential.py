"""Looks at every image: a gross change is found on the first or second one, a small one as soon as it adds up.

A window cannot answer before it is full. This is a bank of exponentially weighted means of the scores of single images
(`drift.scores`), each with its own memory: the last image alone, the last few, up to the last hundred. Each is judged
by T2 under its own covariance, as a multivariate EWMA chart is (Lowry, Woodall, Champ and Rigdon 1992, "A multivariate
exponentially weighted moving average control chart", Technometrics 34); several memories at once are what a shift of
unknown size asks for (window-limited GLR: Lai 1998, "Information bounds and quick detection of parameter changes",
IEEE Transactions on Information Theory 44). Covariances are those that the weighted means really had while
commissioning, and limits come from streams drawn anew from its images in blocks (`drift.bootstrap`); so images that
resemble their neighbours widen both.

A stated run length holds for streams like those that were learned, and rarer images than were learned cannot be allowed
for: learned from as many images as the run length has, a third to all of it was measured; learned from some
hundred different pictures it rings at every one that is new (docs/decisions/every-image.md). A wander slower than
commissioning lasted, or a change of product, rings at once too. No station runs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drift.bootstrap import blocks
from drift.scores import LEAST_VARIANCE, Scores, inverse_root

WEIGHTS = (1.0, 0.5, 0.25, 0.1, 0.03, 0.01)  # of the newest image
MEMORY = 400  # images: what is older than that weighs less than 2 % in any mean
RUN_LENGTH = 20_000.0  # images between false alarms
_BLOCK = 200.0  # images, of the streams that set the limits
_ALARMS = 20  # that these streams have at the stated run length, about
_TAIL = 2e-4  # of the images: where the means of all memories are made comparable
_STREAMS = 20

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Bank:
    """What was learned: how to score an image, and what the mean with each of the `WEIGHTS` is measured by."""

    scores: Scores
    roots: Floats  # [k, m + 1, m + 1]; T is the length of a weighted mean times its root
    limits: Floats  # [k] of T

    def start(self, streams: int = 1) -> Floats:
        """Weighted means [k, streams, m + 1] of which nothing is known yet."""
        return np.zeros((len(WEIGHTS), streams, self.roots.shape[1]))

    def step(self, means: Floats, scores: Floats) -> tuple[Floats, Floats]:
        """Weighted means after one more image of each stream, scores [streams, m + 1], and how far each is: T over its
        limit [k, streams]."""
        means = means + _WEIGHTS * (scores - means)
        return means, np.linalg.norm(means @ self.roots, axis=-1) / self.limits[:, None]

    def course(self, scores: Floats, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """`step` along streams [runs, n] of rows of `scores` [images, m + 1], from the start: [k, runs, n]."""
        means, found = self.start(len(rows)), np.empty((len(WEIGHTS), *rows.shape), np.float32)
        for at in range(rows.shape[1]):
            means, found[:, :, at] = self.step(means, scores[rows[:, at]])
        return found


_WEIGHTS = np.array(WEIGHTS)[:, None, None]


def learned(vectors: Floats, rng: np.random.Generator, *, run_length: float = RUN_LENGTH) -> Bank:
    """The bank for a camera whose images in control, in their order, have these vectors [n, m]; some seconds. At least
    1,000 images, and a tenth of the run length: rarer images than it saw it cannot allow for. Raises ValueError for
    fewer, and for values that are not finite."""
    least = max(1000, round(run_length / 10))
    if len(vectors) < least:
        raise ValueError(f"{len(vectors)} images: a run length of {run_length:.0f} needs {least} at least")
    scores = Scores.learned(vectors)
    told = scores.of(vectors)
    roots = np.stack([_root(told, weight) for weight in WEIGHTS])
    bank = Bank(scores, roots, np.ones(len(WEIGHTS)))
    rows = blocks(rng, len(told), (_STREAMS, max(round(_ALARMS * run_length / _STREAMS), 2 * MEMORY)), _BLOCK)
    lengths = bank.course(told, rows)[:, :, MEMORY:]  # settled
    limits = np.quantile(lengths, 1.0 - _TAIL, axis=(1, 2))
    together = (lengths / limits[:, None, None]).max(axis=0)
    return Bank(scores, roots, limits * level_of(together, run_length))


def _root(scores: Floats, weight: float) -> Floats:
    """Of the weighted means over the commissioning images, once they have settled."""
    mean, means = np.zeros(scores.shape[1]), np.empty_like(scores)
    for at, score in enumerate(scores):
        mean = mean + weight * (score - mean)
        means[at] = mean
    share = weight / (2.0 - weight)
    return inverse_root(means[min(MEMORY, len(means) // 2) :], LEAST_VARIANCE * share, max(1.0, 1.0 / share))


def level_of(levels: Floats, run_length: float) -> float:
    """The lowest level that streams [runs, n] exceed no more often than once in `run_length` images, when all that
    exceeds it within `MEMORY` images counts once."""
    candidates = np.sort(levels, axis=None)[-int(levels.size * 0.01) - 1 :]
    low, high = 0, len(candidates) - 1
    while low < high:
        middle = (low + high) // 2
        few = alarms_of(levels, float(candidates[middle]), MEMORY) * run_length <= levels.size
        low, high = (low, middle) if few else (middle + 1, high)
    return float(candidates[low])


def alarms_of(levels: NDArray[np.floating[Any]], limit: float, again: int) -> int:
    """How often streams [runs, n] exceed a limit, where all within `again` images of an alarm counts once."""
    alarms = 0
    for level in levels:
        over, at = np.flatnonzero(level > limit), 0
        while at < len(over):
            alarms += 1
            at = int(np.searchsorted(over, over[at] + again))
    return alarms


class Sequential:
    """A detector over single images: `update`, then `drift_detected`. It starts anew after a signal; a shift that stays
    signals again. `since` is how many images it has looked at since then."""

    def __init__(self, bank: Bank) -> None:
        self.bank = bank
        self.level = 0.0
        self.since = 0
        self._means = bank.start()

    @property
    def drift_detected(self) -> bool:
        """Whether a mean is over its limit."""
        return self.level > 1.0

    def update(self, vector: NDArray[np.floating[Any]]) -> float:
        """How far the furthest mean is, T over its limit, after one more image's vector [m]; one that is not finite is
        passed over."""
        if self.drift_detected:
            self._means, self.since, self.level = self.bank.start(), 0, 0.0
        if not np.isfinite(vector).all():
            return self.level
        self._means, levels = self.bank.step(self._means, self.bank.scores.of(np.asarray(vector))[None])
        self.since, self.level = self.since + 1, float(levels.max())
        return self.level
