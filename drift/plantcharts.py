"""What plants know already: EWMA charts of brightness and sharpness and a p-chart of the reject rate.

Montgomery, Introduction to Statistical Quality Control, 7th ed.: EWMA charts in section 9.2 (weight 0.2), p-charts in
7.3. They see three numbers of the profile and nothing of the network but its answers: the plain competitor of
`hotelling`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drift.profile import Profile

WEIGHT = 0.2
WIDTH = 4.0  # standard deviations; the textbook's 3 ring once in 370 windows, and there are three charts
_CHARTED = ("mean", "sharpness")


class PlantCharts:
    """A detector over window means. Rejects are all classes but the first, or those named in `rejects`. `width` is the
    distance of every limit from its centre, in standard deviations of what is charted."""

    def __init__(self, profile: Profile, *, width: float = WIDTH, rejects: tuple[str, ...] | None = None) -> None:
        self.profile, self.width = profile, width
        self.drift_detected = False
        self.largest = 0.0
        """How far the furthest of the three charts is from its centre, in standard deviations."""
        names = profile.names
        self._charted = [names.index(name) for name in _CHARTED if name in names]
        chosen = [name for name in names if name.startswith("class-")] if rejects is None else rejects
        self._rejects = [names.index(name) for name in chosen]
        self._deviations = np.sqrt(np.diag(np.array(profile.covariance)))[self._charted]
        centre = np.array(profile.mean)
        self._centre = centre[self._charted]
        self._usual = float(np.clip(centre[self._rejects].sum(), 1e-3, 1.0 - 1e-3))
        self._weighted = np.zeros(len(self._charted))

    def update(self, mean: NDArray[np.floating[Any]], images: int) -> float:
        """How far the furthest chart is from its centre after one more window mean [m]."""
        if self.drift_detected:
            self._weighted[:] = 0.0
        values = np.asarray(mean, np.float64)
        self._weighted = WEIGHT * (values[self._charted] - self._centre) + (1.0 - WEIGHT) * self._weighted
        charted = np.abs(self._weighted) / (self._deviations * np.sqrt(WEIGHT / (2.0 - WEIGHT)))
        spread = np.sqrt(self._usual * (1.0 - self._usual) / images)
        rejects = abs(float(values[self._rejects].sum()) - self._usual) / spread if self._rejects else 0.0
        self.largest = max(rejects, *charted.tolist(), 0.0)
        self.drift_detected = self.largest > self.width
        return self.largest
