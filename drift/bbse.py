"""The mix of classes: whether it changed, and what it is now that the model's errors are taken out.

Black-box shift estimation (Lipton, Wang and Smola 2018, "Detecting and correcting for label shift with black box
predictors", ICML): shares of answers are true shares seen through the confusion matrix. Its test asks whether the
shares of answers changed; T2 is the same before and after a matrix is inverted, so the test needs no confusion matrix,
and only the estimate does. Both hold where the parts of each class look as before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.names import Label
from drift.hotelling import LEVEL, HotellingT2
from drift.persistence import Persistence
from drift.profile import Profile


class PriorShift:
    """A detector over window means that looks at the shares of the answers alone; k of n windows over their limit."""

    def __init__(self, profile: Profile, *, p: float = LEVEL, persistence: Persistence | None = None) -> None:
        self._judging = HotellingT2(profile, p=p)
        self.persistence = persistence or Persistence()

    def update(self, mean: NDArray[np.floating[Any]], images: int) -> float:
        """T2 of the shares over its limit (1 is the limit) in one more window mean [m]."""
        ratio = self._judging.judge(mean, images).groups.get("class", 0.0)
        self.persistence = self.persistence.update(ratio > 1.0)
        return ratio

    @property
    def drift_detected(self) -> bool:
        """Whether k of the last n windows were over the limit."""
        return self.persistence.drift_detected


def estimated_shares(
    confusion: Mapping[Label, Mapping[Label, int]], answers: Mapping[Label, int]
) -> dict[Label, float] | None:
    """True shares of the classes from the numbers of the answers. `confusion` is the
    certificate's: true -> predicted -> count. None where a class was never tested or the matrix is too near to
    singular to be inverted."""
    labels = sorted(confusion)
    counts = np.array(
        [[confusion[true].get(answer, 0) for true in labels] for answer in labels], float
    )  # [answer, true]
    total = float(sum(answers.get(label, 0) for label in labels))
    if total == 0.0 or not labels or (counts.sum(axis=0) == 0).any():
        return None
    rates = counts / counts.sum(axis=0)
    if np.linalg.cond(rates) > 50.0:
        return None
    answered = np.array([answers.get(label, 0) for label in labels]) / total
    shares = np.clip(np.linalg.solve(rates, answered), 0.0, None)
    return {label: float(share) for label, share in zip(labels, shares / shares.sum(), strict=True)}
