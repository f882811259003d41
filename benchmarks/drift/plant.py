"""A plant at the level of minute windows: cameras that wander at one pace, over shifts, nights, weekends, changeovers.

What moves a window's mean, in units of the noise of single images (of which a window has 600, so that its mean knows
each entry to 0.04): three first-order (Ornstein-Uhlenbeck) wanders that move all entries together (0.3 each), one of
its own for each image statistic (0.15), all of one memory; daylight, which goes round in 24 hours (image statistics,
0.3); the three shifts, which set the line a little differently (0.1) and make 8 to 12 % defects; warm-up after a
pause (up to 2, forgotten over 10 minutes) and a new product's first parts (0.5, over 3 minutes). Sizes and directions
are drawn for each camera.

A wander's window mean and its value at the window's end are drawn together, exactly (both are normal given its start):
no image is needed for it. `benchmarks.drift.frames` goes image by image and is compared with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drift.vector import IMAGE_NAMES, vector_names

Floats = NDArray[np.floating[Any]]

IMAGES = 600  # of a window: 10 a second for a minute
WEEK = 7 * 24 * 60  # minutes
NAMES = vector_names(("good", "defect"), 16)
_IMAGE = np.array([name in IMAGE_NAMES for name in NAMES[:-1]], float)
_COMMON = 3


@dataclass(frozen=True)
class Minutes:
    """Minutes at work: number since a Monday, 00:00 [n]; for each the minutes since the last pause and how long that
    pause was."""

    at: NDArray[np.int64]
    running: NDArray[np.int64]
    pause: NDArray[np.int64]

    def between(self, first: int, last: int) -> Minutes:
        """Those with first <= at < last."""
        part = slice(*np.searchsorted(self.at, (first, last)))
        return Minutes(self.at[part], self.running[part], self.pause[part])

    def __len__(self) -> int:
        return len(self.at)


def calendar(weeks: int, *, changeovers: bool) -> Minutes:
    """Three shifts from Monday 6:00 to Saturday 14:00; with changeovers, every other hour is another product's."""
    minute = np.arange(weeks * WEEK)
    of_week = minute % WEEK
    works = (of_week >= 6 * 60) & (of_week < (5 * 24 + 14) * 60)
    if changeovers:
        works &= minute // 60 % 2 == 0
    at = minute[works]
    gap = np.diff(at, prepend=-2 * 24 * 60) - 1
    starts = np.flatnonzero(gap > 0)
    run = np.searchsorted(starts, np.arange(len(at)), side="right") - 1
    return Minutes(at, at - at[starts][run], gap[starts][run])


class Truth:
    """What is drawn once for each of `cameras`; f = 23 free entries and the class share."""

    def __init__(self, rng: np.random.Generator, cameras: int) -> None:
        f = len(NAMES) - 1
        loose = rng.normal(size=(cameras, f, f)) / sqrt(f)
        self.noise = np.linalg.cholesky(0.6 * loose @ loose.transpose(0, 2, 1) + 0.4 * np.eye(f))  # of single images
        own = np.broadcast_to(0.15 * np.eye(f)[_IMAGE > 0], (cameras, len(IMAGE_NAMES), f))
        self.wanders = np.concatenate([0.3 * rng.normal(size=(cameras, _COMMON, f)), own], axis=1)  # [c, k, f]
        self.with_class = rng.normal(size=(cameras, f))
        self.daylight = 0.3 * rng.normal(size=(cameras, f)) * _IMAGE
        self.shifts = 0.1 * rng.normal(size=(cameras, 3, f))
        self.shares = rng.uniform(0.08, 0.12, size=(cameras, 3))
        self.warm_up = rng.normal(size=(cameras, f)) * _IMAGE
        self.first_parts = 0.5 * rng.normal(size=(cameras, f))

    def known(self, minutes: Minutes) -> tuple[Floats, Floats]:
        """All that follows the calendar: entries [c, n, f] and class share [c, n]."""
        shift = (minutes.at // 60 + 2) // 8 % 3  # changes at 6, 14 and 22 o'clock
        sun = np.sin(2 * np.pi * minutes.at / (24 * 60))
        warm = np.exp(-minutes.running / 10.0) * 2.0 * np.minimum(minutes.pause / (8 * 60.0), 1.0)
        first = np.exp(-minutes.running / 3.0)
        moved = self.shifts[:, shift]
        for course, loading in ((sun, self.daylight), (warm, self.warm_up), (first, self.first_parts)):
            moved = moved + course[None, :, None] * loading[:, None, :]
        return moved, self.shares[:, shift]


@dataclass(frozen=True)
class WanderStep:
    """How an Ornstein-Uhlenbeck wander of variance 1 goes through a window of `IMAGES`, and through a pause."""

    memory_minutes: float

    @property
    def per_image(self) -> float:
        """What is left of it after one image."""
        return exp(-1.0 / (self.memory_minutes * IMAGES))

    def coefficients(self) -> tuple[Floats, Floats]:
        """[2] from the start to (mean, end), and the root [2, 2] of what comes on top."""
        a, ages = self.per_image, np.arange(IMAGES)  # of a shock at the window's end
        shock = sqrt(1.0 - a * a)
        ways = np.stack([(1.0 - a ** (ages + 1)) / (1.0 - a) / IMAGES * shock, a**ages * shock])
        from_start = np.array([a * (1.0 - a**IMAGES) / (1.0 - a) / IMAGES, a**IMAGES])
        return from_start, np.linalg.cholesky(ways @ ways.T + 1e-15 * np.eye(2))

    def over_pause(self, minutes: int) -> float:
        """What is left of it after a pause."""
        return exp(-minutes / self.memory_minutes)


class Plant:
    """Window means of some cameras, going on from call to call."""

    def __init__(self, rng: np.random.Generator, truth: Truth, memory_minutes: float) -> None:
        self._rng, self._truth, self._step = rng, truth, WanderStep(memory_minutes)
        self._cameras, self._wanders = truth.wanders.shape[:2]
        self._state = rng.normal(size=(self._cameras, self._wanders))
        self._last = 0

    def means(self, minutes: Minutes) -> Floats:
        """[c, n, m] of the next minutes at work."""
        free, shares = self._truth.known(minutes)
        free = free + self._wander(minutes) @ self._truth.wanders
        noise = self._rng.standard_normal((self._cameras, len(minutes), free.shape[2]), dtype=np.float32)
        free += noise @ self._truth.noise.transpose(0, 2, 1).astype(np.float32) / np.float32(sqrt(IMAGES))
        seen = self._rng.binomial(IMAGES, shares) / IMAGES
        free += (seen - 0.1)[..., None] * self._truth.with_class[:, None, :]
        return np.concatenate([free, seen[..., None]], axis=2)

    def spread(self) -> Floats:
        """Expected variance [c, m] of single images within a window."""
        free = (self._truth.noise**2).sum(axis=2) + 0.09 * self._truth.with_class**2
        return np.concatenate([free, np.full((self._cameras, 1), 0.09)], axis=1)

    def _wander(self, minutes: Minutes) -> Floats:
        """[c, n, k]"""
        from_start, root = self._step.coefficients()
        shocks = self._rng.standard_normal((len(minutes), 2, self._cameras, self._wanders))
        out = np.empty((len(minutes), self._cameras, self._wanders))
        state = self._state
        on_mean, on_end, also = root[0, 0] * shocks[:, 0], root[1, 0] * shocks[:, 0], root[1, 1] * shocks[:, 1]
        ends = on_end + also
        for i, gap in enumerate(np.diff(minutes.at, prepend=self._last) - 1):
            if gap > 0:
                left = self._step.over_pause(int(gap))
                state = left * state + sqrt(1.0 - left * left) * self._rng.normal(size=state.shape)
            out[i] = from_start[0] * state + on_mean[i]
            state = from_start[1] * state + ends[i]
        self._state, self._last = state, int(minutes.at[-1])
        return out.transpose(1, 0, 2)
