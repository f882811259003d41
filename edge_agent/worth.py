"""What makes an image worth a label, and how the buffer's quota is shared among the reasons.

A random share of all parts is drawn by part id, without looking at the answer. The other reasons look: the least
typical images, those of which the model was least sure, and those whose verdict somebody at the line contradicted. Each
reason has a share of the quota that the others cannot take from it, so that the random draw is never crowded out.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Mapping
from enum import StrEnum

import numpy as np

from contracts.frame import Verdict

_REMEMBERED = 500  # values of one camera, product and bundle
_REFIT_EVERY = 50
_SUREST = 1e-6  # scores nearer to 0 or 1 are as sure as can be

Subject = tuple[str, str, str | None]
"""Camera, product and bundle: what values are compared within."""


class Worth(StrEnum):
    """Why an image is kept: the first that applies, in this order."""

    RANDOM = "random"
    OVERRULED = "overruled"
    ATYPICAL = "atypical"
    UNSURE = "unsure"


SHARES: Mapping[Worth, float] = {
    Worth.RANDOM: 0.5,
    Worth.OVERRULED: 0.1,
    Worth.ATYPICAL: 0.2,
    Worth.UNSURE: 0.2,
}
"""Of the quota, for each reason; together 1. What one does not need, the others may use until it does."""


def subject_of(verdict: Verdict) -> Subject:
    """What the verdict's values are compared within."""
    return verdict.frame.camera, verdict.frame.product, verdict.bundle_hash


def margin(verdict: Verdict) -> float | None:
    """How far the defect score lies from the threshold that decided, in logits (0: on it); None without a score.

    In logits, because a threshold may be small: every good part would be near it in plain scores.
    """
    if verdict.defect_score is None or verdict.threshold is None:
        return None
    return abs(_logit(verdict.defect_score) - _logit(verdict.threshold))


def _logit(score: float) -> float:
    clipped = min(max(score, _SUREST), 1.0 - _SUREST)
    return math.log(clipped / (1.0 - clipped))


class Extremes:
    """Whether a value is among the largest `fraction` of the last values of its subject. Thread-safe."""

    def __init__(self, fraction: float) -> None:
        self._fraction = fraction
        self._values: dict[Subject, deque[float]] = {}
        self._limits: dict[Subject, float] = {}
        self._lock = threading.Lock()

    def stands_out(self, subject: Subject, value: float | None, sequence: int) -> bool:
        """Also learns from the value. Before enough of them are known, none stands out."""
        if value is None or self._fraction == 0.0:
            return False
        with self._lock:
            limit = self._limits.get(subject)
            seen = self._values.setdefault(subject, deque(maxlen=_REMEMBERED))
            seen.append(value)
            if len(seen) >= _REFIT_EVERY and (limit is None or sequence % _REFIT_EVERY == 0):
                self._limits[subject] = float(np.quantile(seen, 1.0 - self._fraction))
        return limit is not None and value > limit
