"""From probabilities to what the line is told. No I/O."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from contracts.frame import Decision
from contracts.thresholds import Thresholds

_ONE_BY_ONE = 8


class DecisionRule(Protocol):
    """What is needed to decide; a bundle's manifest has it, and so has a model in training."""

    @property
    def labels(self) -> Sequence[str]: ...
    @property
    def good_labels(self) -> Sequence[str]: ...
    @property
    def thresholds(self) -> Thresholds: ...


@dataclass(frozen=True)
class Rule:
    """A decision rule by itself, for callers without a manifest."""

    labels: tuple[str, ...]
    good_labels: tuple[str, ...]
    thresholds: Thresholds


@dataclass(frozen=True)
class Decided:
    """`label` is the most probable class, `defect_score` 1 minus the probability of the good classes (0..1)."""

    decision: Decision
    label: str
    defect_score: float


def defect_scores(probabilities: NDArray[np.floating], rule: DecisionRule) -> NDArray[np.float64]:
    """1 minus the probability of the good classes [n], of `probabilities` [n, k]; within 0..1."""
    good = _good(tuple(rule.labels), tuple(rule.good_labels))
    mass = np.asarray(probabilities, dtype=np.float64)[:, good].sum(axis=1)
    scores: NDArray[np.float64] = (1.0 - mass).clip(0.0, 1.0)
    return scores


@lru_cache(maxsize=16)
def _good(labels: tuple[str, ...], good_labels: tuple[str, ...]) -> list[int]:
    """Where the good ones stand among the labels."""
    return [index for index, label in enumerate(labels) if label in good_labels]


def decide(probabilities: NDArray[np.floating], rule: DecisionRule) -> Decided:
    """The decision on one image with `probabilities` [k]: NG at s >= ng, OK below review_from, REVIEW between.

    Raises ValueError where a probability is not finite or their number is not that of the labels.

    >>> rule = Rule(("good", "scratch"), ("good",), Thresholds(ng=0.6, review_from=0.4))
    >>> decide(np.array([0.5, 0.5]), rule).decision.value
    'REVIEW'
    """
    if probabilities.shape != (len(rule.labels),):
        raise ValueError(f"expected {len(rule.labels)} probabilities, got shape {list(probabilities.shape)}")
    values: list[float] = probabilities.tolist()
    if not all(map(math.isfinite, values)):
        raise ValueError("a probability is not finite")
    score = _defect_score(probabilities, values, rule)
    return Decided(
        decision=_decision(score, rule.thresholds),
        label=rule.labels[values.index(max(values))],
        defect_score=score,
    )


def _defect_score(probabilities: NDArray[np.floating], values: list[float], rule: DecisionRule) -> float:
    """As `defect_scores`, bit for bit, without arrays where few classes are good: NumPy adds fewer than eight one after
    the other."""
    good = _good(tuple(rule.labels), tuple(rule.good_labels))
    if len(good) >= _ONE_BY_ONE:
        return float(defect_scores(probabilities[np.newaxis], rule)[0])
    mass = 0.0
    for index in good:  # `sum` rounds less from Python 3.12 on
        mass += values[index]
    return min(max(1.0 - mass, 0.0), 1.0)


def _decision(score: float, thresholds: Thresholds) -> Decision:
    if score >= thresholds.ng:
        return Decision.NG
    return Decision.REVIEW if score >= thresholds.review_from else Decision.OK
