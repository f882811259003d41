"""Two-sided cumulative sums of every entry, for triggered lines: few images a window, a shift to be found soon.

Page 1954, "Continuous inspection schemes", Biometrika 41, in the tabular form of Montgomery, Introduction to
Statistical Quality Control, 7th ed., section 9.1. The limit follows from the wanted run length between false alarms by
Siegmund's approximation (1985, Sequential Analysis, section 2.6), shared evenly by both sides of all entries. That run
length is nominal: it holds for windows that know nothing of each other. What the profile did not know of its own
held-out windows widens the spread, and what it cannot know of its mean the allowance. It starts anew after a signal.
"""

from __future__ import annotations

from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drift.profile import Profile

ALLOWANCE = 0.5  # standard deviations of window means: shifts of twice as much are found soonest
RUN_LENGTH = 10_000.0  # windows


class Cusum:
    """A detector over window means. `most` is the limit of the sums in standard deviations of window means."""

    def __init__(
        self,
        profile: Profile,
        *,
        allowance: float = ALLOWANCE,
        run_length: float = RUN_LENGTH,
        most: float | None = None,
    ) -> None:
        entries = len(profile.names)
        self.profile, self.allowance = profile, allowance + 2.0 / np.sqrt(profile.windows)
        self.most = decision_interval(allowance, 2 * entries * run_length) if most is None else most
        self.drift_detected = False
        unknown = max(1.0, float(np.mean(profile.held_out["all"])) / entries)
        self._deviations = np.sqrt(unknown * np.diag(np.array(profile.covariance)))  # [m]
        self._up: NDArray[np.float64] = np.zeros(entries)
        self._down: NDArray[np.float64] = np.zeros(entries)

    @property
    def largest(self) -> float:
        """The largest of the sums."""
        return float(max(self._up.max(), self._down.max()))

    def update(self, mean: NDArray[np.floating[Any]], images: int) -> float:
        """The largest sum after one more window mean [m]; one of fewer images than commissioning had is noisier, and
        moves the sums in proportion to its own spread."""
        if self.drift_detected:
            self._up[:] = self._down[:] = 0.0
        sure = np.sqrt(min(1.0, images / self.profile.images))
        moved = sure * (np.asarray(mean, np.float64) - np.array(self.profile.mean)) / self._deviations
        self._up = np.maximum(0.0, self._up + moved - self.allowance)
        self._down = np.maximum(0.0, self._down - moved - self.allowance)
        self.drift_detected = self.largest > self.most
        return self.largest


def decision_interval(allowance: float, run_length: float) -> float:
    """Limit of a one-sided sum with this mean run length in control: (exp(2 k b) - 2 k b - 1) / (2 k^2), b = h + 1.166.

    >>> round(decision_interval(0.5, 930.0), 1)  # Montgomery, table 9.3: two-sided 465 at 5
    5.0
    """
    low, high = 0.0, 1000.0
    for _ in range(100):
        middle = 0.5 * (low + high)
        b = 2.0 * allowance * (middle + 1.166)
        reached = b > 500.0 or (exp(b) - b - 1.0) / (2.0 * allowance**2) > run_length
        low, high = (low, middle) if reached else (middle, high)
    return 0.5 * (low + high)
