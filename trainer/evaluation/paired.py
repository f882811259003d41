"""The difference of two models on the same images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.metrics import bootstrap_interval
from trainer.evaluation.figures import Answers, Statistic
from trainer.evaluation.report import Estimate

_RESAMPLES = 400


def paired(before: Answers, after: Answers, statistic: Statistic) -> Estimate:
    """The figure of `after` less that of `before`, which answer the same images in the same order (see `resampled`);
    None where either is undefined."""

    def gained(rows: NDArray[np.intp]) -> float | None:
        one, other = statistic(before, rows), statistic(after, rows)
        return None if one is None or other is None else other - one

    return resampled(gained, before.groups)


def resampled(statistic: Callable[[NDArray[np.intp]], float | None], groups: Sequence[str]) -> Estimate:
    """A figure of the rows [n] and its interval by resampling whole `groups` [n]; no interval where there is a single
    one."""
    value = statistic(np.arange(len(groups)))
    if value is None or len(set(groups)) < 2:
        return Estimate(value=value)
    low, high = bootstrap_interval(statistic, len(groups), groups=groups, resamples=_RESAMPLES) or (None, None)
    return Estimate(value=value, low=low, high=high)
