"""The difference of two models on the same images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.metrics import bootstrap_interval
from trainer.evaluation.figures import Answers, Statistic
from trainer.evaluation.report import Estimate

_RESAMPLES = 400


def paired(before: Answers, after: Answers, statistic: Statistic) -> Estimate:
    """The figure of `after` less that of `before`, which answer the same images in the same order, and its interval by
    resampling whole groups; None where either is undefined, no interval where there is a single group."""

    def gained(rows: NDArray[np.intp]) -> float | None:
        one, other = statistic(before, rows), statistic(after, rows)
        return None if one is None or other is None else other - one

    count = len(before.examples)
    value = gained(np.arange(count))
    if value is None or len(set(before.groups)) < 2:
        return Estimate(value=value)
    low, high = bootstrap_interval(gained, count, groups=before.groups, resamples=_RESAMPLES) or (None, None)
    return Estimate(value=value, low=low, high=high)
