"""The same plant image by image, for one camera: does the window simulator give the windows that images would?

Every image has its own noise, its own place in the wander, its own class; each minute of them is summed into a window.
"""

from __future__ import annotations

import argparse
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.plant import IMAGES, NAMES, WEEK, Minutes, Plant, Truth, WanderStep, calendar
from benchmarks.drift.watch import settled
from benchmarks.harness import Measured
from contracts.report import Figure
from drift.hotelling import HotellingT2
from drift.profile import Commissioning, Profile, ProfileKey
from drift.window import mean_of

Floats = NDArray[np.floating[Any]]

_MEMORIES = {"10_s": 1 / 6, "10_min": 10.0}  # slower ones go round too seldom in a week to be compared
_KEY = ProfileKey(bundle_hash="0" * 64, camera="agent/camera/cap", product="cap", runtime="planted")
_LAGS = (1, 10)


class Frames:
    """Window means of one camera (the first of `truth`), made of single images; going on from call to call."""

    def __init__(self, rng: np.random.Generator, truth: Truth, memory_minutes: float) -> None:
        self._rng, self._truth, self._step = rng, truth, WanderStep(memory_minutes)
        self._state: Floats = rng.normal(size=(truth.wanders.shape[1],))
        self._last = 0
        ages = np.subtract.outer(np.arange(IMAGES), np.arange(IMAGES))
        a = self._step.per_image
        self._shocks: Floats = np.where(ages >= 0, a ** np.maximum(ages, 0), 0.0) * sqrt(1.0 - a * a)
        self._decay = a ** np.arange(1, IMAGES + 1)

    def means(self, minutes: Minutes) -> Floats:
        """[n, m] of the next minutes at work."""
        moved, shares = self._truth.known(minutes)
        gaps = np.diff(minutes.at, prepend=self._last) - 1
        self._last = int(minutes.at[-1])
        return np.array([self._window(*parts) for parts in zip(moved[0], shares[0], gaps, strict=True)])

    def _window(self, moved: Floats, share: float, gap: int) -> Floats:
        images = moved + self._wander(int(gap)) @ self._truth.wanders[0]  # [IMAGES, f]
        images += self._rng.standard_normal(images.shape) @ self._truth.noise[0].T
        defect = self._rng.random(IMAGES) < share
        images += (defect - 0.1)[:, None] * self._truth.with_class[0]
        vectors = np.column_stack([images, defect])
        return np.array(mean_of(NAMES, vectors.sum(axis=0), (vectors**2).sum(axis=0), IMAGES).mean)

    def _wander(self, gap: int) -> Floats:
        """[IMAGES, k]"""
        left = self._step.over_pause(gap) if gap > 0 else 1.0
        kinds = len(self._state)
        state = left * self._state + sqrt(1.0 - left * left) * self._rng.normal(size=(kinds,))
        path: Floats = self._shocks @ self._rng.normal(size=(IMAGES, kinds)) + np.outer(self._decay, state)
        self._state = path[-1]
        return path


def measure(options: argparse.Namespace) -> Measured:
    """One camera-week both ways, per memory: how windows spread, how neighbours resemble, how far T2 lies."""
    figures: list[Figure] = []
    for place, (name, memory) in enumerate(_MEMORIES.items()):
        rng = np.random.default_rng([options.seed, 100 + place])
        figures += _compared(name, rng, memory, WEEK // 7 if options.quick else WEEK)
    return Measured(figures)


def _compared(name: str, rng: np.random.Generator, memory: float, length: int) -> list[Figure]:
    truth = Truth(rng, 1)
    week = calendar(1, changeovers=False).between(0, length)
    ok = settled(week)
    plants = [Plant(rng, truth, memory) for _ in range(3)]
    learned, again = (plant.means(week)[0, ok] for plant in plants[:2])
    profile = learned_from(learned, plants[0].spread()[0])
    images = Frames(rng, truth, memory).means(week)[ok]
    detector = HotellingT2(profile)
    far = [np.median(detector.ratios(rows)) for rows in (images, again)]
    note = f"wander with a memory of {name.replace('_', ' ')}, {len(images)} windows of one camera-week both ways"
    likeness = np.abs(np.array([_likeness(images, lag) - _likeness(again, lag) for lag in _LAGS]))
    return [
        Figure(
            name=f"frames_windows_spread_{name}",
            value=abs(float(np.median(images.std(axis=0) / again.std(axis=0))) - 1.0),
            unit="relative",
            note=f"standard deviation of window means, difference, median of {len(NAMES)} entries; {note}",
        ),
        Figure(
            name=f"frames_windows_likeness_{name}",
            value=float(np.median(likeness, axis=1).max()),
            unit="correlation",
            note=f"autocorrelation 1 and 10 windows apart, difference, median of the entries, the larger; {note}",
        ),
        Figure(
            name=f"frames_windows_t2_{name}",
            value=abs(float(far[0] / far[1]) - 1.0),
            unit="relative",
            note=f"median T2 against one profile, difference; {note}",
        ),
    ]


def learned_from(means: Floats, spread: Floats) -> Profile:
    """The profile of windows [n, m], however few they are."""
    commissioning = Commissioning(key=_KEY, windows_most=20)
    return commissioning.add_all(NAMES, means, spread, IMAGES).profile()


def _likeness(rows: Floats, lag: int) -> Floats:
    away = rows - rows.mean(axis=0)
    return np.asarray((away[lag:] * away[:-lag]).mean(axis=0) / away.var(axis=0))
