"""Quality of answers against the truth, in NumPy, the same for trainer, certificate, gate and demo.

Which one when: `balanced_accuracy` for the decision when good parts are the bulk; `auroc` for the score, whatever the
threshold; `recall_per_label` and `confusion` to see which class suffers. `accuracy` means
little beside `best_constant`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from contracts.certificate import TaskMetrics
from runtime.decision import DecisionRule, defect_scores

_Z_95 = 1.959963984540054


def task_metrics(probabilities: NDArray[np.floating], true: Sequence[str], rule: DecisionRule) -> TaskMetrics:
    """Metrics of `probabilities` [n, k] against the `true` labels [n].

    A part is *stopped* when its decision is not OK (NG or REVIEW): `recall_defect` is the share of defects stopped,
    `recall_good` that of good parts let through; `accuracy` and `balanced_accuracy` follow. `confusion` and
    `recall_per_label` compare the most probable class. Raises ValueError for a true label that the rule does not know.
    """
    if probabilities.shape != (len(true), len(rule.labels)):
        raise ValueError(f"expected [{len(true)}, {len(rule.labels)}] probabilities, got {list(probabilities.shape)}")
    if unknown := set(true) - set(rule.labels):
        raise ValueError(f"true labels that the model does not know: {sorted(unknown)}")
    scores = defect_scores(probabilities, rule)
    defect = np.array([label not in rule.good_labels for label in true], dtype=bool)  # [n]
    stopped = scores >= rule.thresholds.review_from
    recall_good = _share(~stopped[~defect])
    recall_defect = _share(stopped[defect])
    both = recall_good is not None and recall_defect is not None
    confusion = confusion_counts(probabilities, true, rule.labels)
    return TaskMetrics(
        examples=len(true),
        accuracy=_share(stopped == defect),
        balanced_accuracy=((recall_good or 0.0) + (recall_defect or 0.0)) / 2 if both else None,
        auroc=auroc(scores, defect),
        best_constant=max(float(defect.mean()), 1.0 - float(defect.mean())) if len(true) else None,
        recall_good=recall_good,
        recall_defect=recall_defect,
        recall_per_label={label: _recall(confusion[label], label) for label in rule.labels},
        confusion=confusion,
    )


def calibration_error(probabilities: NDArray[np.floating], true: NDArray[np.integer], *, bins: int = 10) -> float:
    """Expected calibration error of the answered class (Guo et al., On Calibration of Modern Neural Networks, 2017).

    `probabilities` [n, k], `true` [n] class numbers. In each of `bins` equal bins of the highest probability: how far
    its mean is from the share of right answers, weighed by images. 0..1; n must not be 0.

    >>> calibration_error(np.array([[0.75, 0.25]] * 4), np.array([0, 0, 0, 1]))
    0.0
    """
    sure = np.asarray(probabilities, dtype=np.float64).max(axis=1)
    right = np.asarray(probabilities).argmax(axis=1) == true
    number = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = [abs(float((right[number == each] - sure[number == each]).sum())) for each in range(bins)]
    return min(1.0, sum(gaps) / len(true))


def confusion_counts(
    probabilities: NDArray[np.floating], true: Sequence[str], labels: Sequence[str]
) -> dict[str, dict[str, int]]:
    """True label -> most probable label -> count, all pairs present."""
    counts = {row: dict.fromkeys(labels, 0) for row in labels}
    predicted = probabilities.argmax(axis=1) if len(true) else []
    for label, index in zip(true, predicted, strict=True):
        counts[label][labels[int(index)]] += 1
    return counts


def auroc(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> float | None:
    """Probability that a random positive scores above a random negative, ties counted half (Mann-Whitney U).

    None where one side is empty.

    >>> auroc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.75
    """
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if positives == 0 or negatives == 0:
        return None
    _, position, count = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    mean_rank = last - (count - 1) / 2.0  # ranks from 1, ties share their mean
    rank_sum = float(mean_rank[position][positive].sum())
    return (rank_sum - positives * (positives + 1) / 2.0) / (positives * negatives)


def wilson_interval(successes: float, trials: float, *, z: float = _Z_95) -> tuple[float, float]:
    """Wilson's score interval of a share (E. B. Wilson, JASA 22, 1927); (0, 1) without trials. Both need not be whole:
    images that resemble each other are worth fewer trials.

    >>> [round(value, 3) for value in wilson_interval(8, 10)]
    [0.49, 0.943]
    """
    if trials == 0:
        return 0.0, 1.0
    share = successes / trials
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    # the bounds hold the share itself, which rounding may miss at 0 and 1
    return max(0.0, min(share, (centre - spread) / scale)), min(1.0, max(share, (centre + spread) / scale))


def bootstrap_interval(
    statistic: Callable[[NDArray[np.intp]], float | None],
    size: int,
    *,
    groups: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float] | None:
    """95 % percentile interval of `statistic(indices)` over resampled indices 0..size-1 (Efron 1979).

    With `groups` whole groups are drawn, as examples of one group are not independent. Draws where the statistic is
    undefined are left out; None when all are.
    """
    generator = np.random.default_rng(seed)
    names = np.arange(size) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    members = [np.flatnonzero(names == name) for name in np.unique(names)]
    values = []
    for _ in range(resamples if members else 0):
        drawn = generator.integers(len(members), size=len(members))
        value = statistic(np.concatenate([members[index] for index in drawn]))
        if value is not None:
            values.append(value)
    if not values:
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _share(hits: NDArray[np.bool_]) -> float | None:
    return float(hits.mean()) if hits.size else None


def _recall(row: dict[str, int], label: str) -> float | None:
    total = sum(row.values())
    return row[label] / total if total else None
