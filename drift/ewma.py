"""Exponentially weighted window means, for a drift too slow for any single window to show.

The multivariate chart of Lowry, Woodall, Champ and Rigdon 1992, "A multivariate exponentially weighted moving
average control chart", Technometrics 34: z = weight d + (1 - weight) z over deviations d from the profile, and T2 of z
under its own covariance (exact, so that the first windows are judged too). It starts anew after a signal; a shift that
stays signals again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drift.hotelling import limit
from drift.profile import Profile, t2

LEVEL = 0.001
WEIGHT = 0.1


class Ewma:
    """A detector over window means. `most` is the T2 limit, by default that of `hotelling` at level 0.001."""

    def __init__(self, profile: Profile, *, weight: float = WEIGHT, most: float | None = None) -> None:
        self.profile, self.weight = profile, weight
        self.most = limit(len(profile.names), profile.windows, LEVEL, profile.held_out["all"]) if most is None else most
        self.t2 = 0.0
        self.drift_detected = False
        self._covariance = np.array(profile.covariance)
        self._weighted: NDArray[np.float64] = np.zeros(len(profile.names))
        self._share = 0.0  # of the variance of one window

    def update(self, mean: NDArray[np.floating[Any]], images: int) -> float:
        """T2 of the weighted mean after one more window mean [m]; one of fewer images than commissioning had moves it
        less."""
        if self.drift_detected:
            self._weighted[:] = 0.0
            self._share = 0.0
        weight = self.weight * min(1.0, images / self.profile.images)
        deviation = np.asarray(mean, np.float64) - np.array(self.profile.mean)  # [m]
        self._weighted = weight * deviation + (1.0 - weight) * self._weighted
        self._share = weight**2 + (1.0 - weight) ** 2 * self._share
        self.t2 = float(t2(self._weighted[None], self._share * self._covariance)[0])
        self.drift_detected = self.t2 > self.most
        return self.t2
