"""How good is a detector? False alarms in control, delay and misses on planted drift, on a line whose truth is known.

The line is planted at the level of window means: sensor noise of single images (independent, correlated between
entries), a slow wander of the whole scene (first-order autoregressive, shared by all entries through a few
directions), and the mix of classes. A wander with a memory longer than a window is what breaks thresholds that were
set on independent images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, nan, sqrt
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from drift.vector import vector_names
from drift.window import WindowMean, rounded

Floats = NDArray[np.floating[Any]]


class Detector(Protocol):
    """What every detector over window means can do."""

    @property
    def drift_detected(self) -> bool: ...

    def update(self, mean: NDArray[np.floating[Any]], images: int) -> object: ...


@dataclass(frozen=True)
class Evaluation:
    """What a detector did. `delay_windows` counts windows from the drift to its detection, both included; nan when it
    was missed or none was planted."""

    windows_in_control: int
    false_alarms: int
    delay_windows: float
    missed: bool


def evaluate(detector: Detector, in_control: Sequence[WindowMean], drifted: Sequence[WindowMean] = ()) -> Evaluation:
    """Show a detector the windows in order. An alarm that goes on counts once; one that is still on when the drift
    begins does not count as its detection until it was off or the drift is as long as the detector's memory."""
    false_alarms, was_on = 0, False
    for window in in_control:
        detector.update(np.array(window.mean), window.images)
        false_alarms += detector.drift_detected and not was_on
        was_on = detector.drift_detected
    delay = nan
    for number, window in enumerate(drifted, start=1):
        detector.update(np.array(window.mean), window.images)
        if detector.drift_detected and (not was_on or number >= 3):
            delay = float(number)
            break
        was_on = detector.drift_detected
    return Evaluation(len(in_control), false_alarms, delay, bool(drifted) and delay != delay)


class PlantedLine:
    """Window means of a line with known truth. Entries are named like those of a real drift vector.

    `memory_images` is the wander's memory (its correlation falls to 1/e over that many images), `wander` its standard
    deviation in units of the noise of single images, `defect_share` the share of the last class.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        *,
        components: int = 8,
        memory_images: float = 15.0,
        wander: float = 0.3,
        defect_share: float = 0.3,
        images: int = 100,
    ) -> None:
        self.names = vector_names(("good", "defect"), components)
        self.images = images
        self._rng = rng
        free = len(self.names) - 1
        loose = rng.normal(size=(free, free)) / sqrt(free)
        self._noise = np.linalg.cholesky(0.6 * loose @ loose.T + 0.4 * np.eye(free))  # of single images
        self._directions = wander * rng.normal(size=(3, free))
        self._class_shift = rng.normal(size=free)
        self._share = defect_share
        self._memory = _WindowedWander(memory_images, images, rng)

    def means(self, windows: int) -> Floats:
        """Window means [windows, m], going on from the last call."""
        noise = self._rng.normal(size=(windows, len(self._noise))) @ self._noise.T / sqrt(self.images)
        shares = self._rng.binomial(self.images, self._share, size=windows) / self.images
        wander = self._memory.means(windows) @ self._directions
        return np.column_stack([noise + wander + shares[:, None] * self._class_shift, shares])

    def spread(self) -> Floats:
        """Expected variance [m] of single images within a window."""
        mix = self._share * (1.0 - self._share)
        free = (self._noise**2).sum(axis=1) + mix * self._class_shift**2
        return np.append(free, mix)

    def windows(self, count: int, shift: Floats | float = 0.0) -> list[WindowMean]:
        """The next windows, every mean moved by `shift` ([m] or a number)."""
        spread = rounded(self.spread())
        return [
            WindowMean(names=self.names, mean=rounded(mean), spread=spread, images=self.images)
            for mean in self.means(count) + shift
        ]


class _WindowedWander:
    """Means over windows of three AR(1) processes of variance 1, sampled exactly without going through the images: mean
    and end of a window are jointly normal given its start."""

    def __init__(self, memory: float, images: int, rng: np.random.Generator) -> None:
        a = exp(-1.0 / memory)
        ages = np.arange(images)  # of a shock at the window's end
        to_end = a**ages * sqrt(1.0 - a * a)
        to_mean = (1.0 - a ** (ages + 1)) / (1.0 - a) / images * sqrt(1.0 - a * a)
        shocks = np.stack([to_mean, to_end])  # [2, images]
        self._root = np.linalg.cholesky(shocks @ shocks.T + 1e-15 * np.eye(2))
        self._from_start = np.array([a * (1.0 - a**images) / (1.0 - a) / images, a**images])
        self._rng = rng
        self._state = rng.normal(size=3)

    def means(self, windows: int) -> Floats:
        """[windows, 3]"""
        out = np.empty((windows, 3))
        noise = self._rng.normal(size=(windows, 3, 2)) @ self._root.T
        for i in range(windows):
            out[i] = self._from_start[0] * self._state + noise[i, :, 0]
            self._state = self._from_start[1] * self._state + noise[i, :, 1]
        return out
