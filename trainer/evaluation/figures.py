"""From answers to figures: with intervals over groups, by class, and with what the test cannot resolve."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from runtime.decision import Rule, defect_scores
from runtime.metrics import auroc, bootstrap_interval, confusion_counts
from trainer.dataset import Example
from trainer.evaluation.intervals import Share, sum_interval
from trainer.evaluation.report import Calibration, ClassFigures, Estimate
from trainer.split import group_of

_RESAMPLES = 400
_BINS = 10
_POWER, _LEVEL = 0.8416, 1.9600  # normal quantiles: 80 % power at a two-sided 5 %


@dataclass(frozen=True)
class Answers:
    """Probabilities [n, k] of a model for `examples`, and the rule by which it decides."""

    examples: tuple[Example, ...]
    probabilities: NDArray[np.float64]
    rule: Rule

    @cached_property
    def true(self) -> NDArray[np.int64]:
        """[n] row of the true class."""
        return np.array([self.rule.labels.index(example.label) for example in self.examples], dtype=np.int64)

    @cached_property
    def defect(self) -> NDArray[np.bool_]:
        """[n] whether the part is truly defective."""
        return np.array([example.label not in self.rule.good_labels for example in self.examples], dtype=bool)

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """[n] defect scores."""
        return np.asarray(defect_scores(self.probabilities, self.rule), dtype=np.float64)

    @cached_property
    def stopped(self) -> NDArray[np.bool_]:
        """[n] whether the part is not let through."""
        return np.asarray(self.scores >= self.rule.thresholds.review_from)

    @cached_property
    def groups(self) -> list[str]:
        """[n] what may not be taken as independent."""
        return [group_of(example) for example in self.examples]

    @cached_property
    def group_numbers(self) -> NDArray[np.int64]:
        """[n] the same as numbers from 0 on."""
        return np.asarray(np.unique(np.array(self.groups), return_inverse=True)[1], dtype=np.int64)

    def rows(self, rows: Sequence[int]) -> Answers:
        """Some of them."""
        chosen = tuple(self.examples[row] for row in rows)
        return Answers(chosen, self.probabilities[np.array(rows, dtype=np.int64)], self.rule)


Statistic = Callable[[Answers, NDArray[np.intp]], float | None]


def estimate(answers: Answers, statistic: Statistic) -> Estimate:
    """The figure over all rows and its interval, none where there is a single group: that of `intervals` for shares and
    sums of them, else by resampling whole groups, where resamples differ."""
    everything = np.arange(len(answers.examples))
    value = statistic(answers, everything)
    if value is None:
        return Estimate(value=None)
    if (shares := _SHARES.get(statistic)) is not None:
        return _of_shares(answers, value, shares(answers))
    if len(set(answers.groups)) < 2:
        return Estimate(value=value)
    bounds = bootstrap_interval(
        lambda rows: statistic(answers, rows), len(everything), groups=answers.groups, resamples=_RESAMPLES
    )  # fmt: skip
    if bounds is None or bounds[0] == bounds[1]:
        return Estimate(value=value)
    return Estimate(value=value, low=bounds[0], high=bounds[1])


def _of_shares(answers: Answers, value: float, shares: Sequence[Share]) -> Estimate:
    low, high = sum_interval(shares) if len(set(answers.groups)) > 1 else (None, None)
    if len(shares) > 1:
        return Estimate(value=value, low=low, high=high)
    right = shares[0].right
    return Estimate(value=value, low=low, high=high, hits=int(right.sum()), of=len(right))


def accuracy(answers: Answers, rows: NDArray[np.intp]) -> float | None:
    """Share of parts rightly let through or stopped."""
    return float((answers.stopped[rows] == answers.defect[rows]).mean()) if len(rows) else None


def balanced_accuracy(answers: Answers, rows: NDArray[np.intp]) -> float | None:
    """Mean of the recalls of good and defect."""
    good, defect = recall_good(answers, rows), recall_defect(answers, rows)
    return None if good is None or defect is None else (good + defect) / 2


def recall_good(answers: Answers, rows: NDArray[np.intp]) -> float | None:
    """Share of good parts let through."""
    stopped = answers.stopped[rows][~answers.defect[rows]]
    return float((~stopped).mean()) if stopped.size else None


def recall_defect(answers: Answers, rows: NDArray[np.intp]) -> float | None:
    """Share of defects stopped."""
    stopped = answers.stopped[rows][answers.defect[rows]]
    return float(stopped.mean()) if stopped.size else None


def area(answers: Answers, rows: NDArray[np.intp]) -> float | None:
    """Under the receiver operating characteristic of the defect score."""
    return auroc(answers.scores[rows], answers.defect[rows])


def average_precision(answers: Answers, rows: NDArray[np.intp]) -> float | None:
    """Mean precision over the defects, in the order of the defect score (ties as one step)."""
    scores, positive = answers.scores[rows], answers.defect[rows]
    if not positive.any():
        return None
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    found = np.cumsum(positive[order])[ends]
    gained = np.diff(np.concatenate([[0], found]))
    return float((gained * found / (ends + 1)).sum() / positive.sum())


def macro_f1(answers: Answers, rows: NDArray[np.intp]) -> float | None:
    """Mean F1 over the classes that occur."""
    kinds = np.unique(answers.true[rows])
    values = [f1(answers, rows, int(kind)) for kind in kinds]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def f1(answers: Answers, rows: NDArray[np.intp], kind: int) -> float | None:
    """Of one class, by the most probable class; None where it neither occurs nor is answered."""
    true, said = answers.true[rows] == kind, answers.probabilities[rows].argmax(1) == kind
    total = int(true.sum() + said.sum())
    return 2 * float((true & said).sum()) / total if total else None


def cost_per_part(answers: Answers, rows: NDArray[np.intp]) -> float | None:
    """Mean cost of escapes and false rejects a part, where defects come as often as the line expects (half of the parts
    where nothing else was said), whatever their share in the test."""
    good, defect = recall_good(answers, rows), recall_defect(answers, rows)
    if good is None or defect is None:
        return None
    of_defects, of_good = answers.rule.thresholds.recall_weights
    return (of_defects * (1 - defect) + of_good * (1 - good)) / 2


def class_figures(answers: Answers) -> dict[str, ClassFigures]:
    """Every class with its intervals."""
    return {
        label: _class_figures(answers, kind, estimate(answers, partial(f1, kind=kind)))
        for kind, label in enumerate(answers.rule.labels)
    }


def plain_class_figures(answers: Answers) -> dict[str, ClassFigures]:
    """The classes that occur or are answered; F1 without an interval, which takes a thousand times as long as all
    else."""
    everything = np.arange(len(answers.examples))
    values = {kind: f1(answers, everything, kind) for kind in range(len(answers.rule.labels))}
    return {
        answers.rule.labels[kind]: _class_figures(answers, kind, Estimate(value=value))
        for kind, value in values.items()
        if value is not None
    }


def _class_figures(answers: Answers, kind: int, score: Estimate) -> ClassFigures:
    true, called = answers.true == kind, answers.probabilities.argmax(1) == kind
    precision, recall = (_share(answers, (true & called)[among], among) for among in (called, true))
    return ClassFigures(images=int(true.sum()), precision=precision, recall=recall, f1=score)


def confusion(answers: Answers) -> dict[str, dict[str, int]]:
    """True class -> most probable class -> images."""
    return confusion_counts(answers.probabilities, [e.label for e in answers.examples], answers.rule.labels)


def calibration(answers: Answers) -> Calibration:
    """Of the defect score, in ten bins of equal mass."""
    if not len(answers.examples):
        return Calibration(error=None)
    order = np.argsort(answers.scores, kind="stable")
    bins = []
    for rows in np.array_split(order, min(_BINS, len(order))):
        bins.append((float(answers.scores[rows].mean()), float(answers.defect[rows].mean()), len(rows)))
    error = sum(count * abs(score - share) for score, share, count in bins) / len(order)
    return Calibration(error=float(error), bins=tuple(bins))


def smallest_difference(answers: Answers) -> float | None:
    """The difference of balanced accuracy that two models must have to be told apart on images like these, with 80 %
    power at 5 %: 2.8 times the standard error of a difference of two independent runs, which is that of one, from its
    interval, times the root of two."""
    interval = estimate(answers, balanced_accuracy)
    if interval.low is None or interval.high is None:
        return None
    standard_error = (interval.high - interval.low) / (2 * _LEVEL)
    return (_LEVEL + _POWER) * math.sqrt(2) * standard_error


def _share(answers: Answers, right: NDArray[np.bool_], among: NDArray[np.bool_]) -> Estimate:
    if not len(right):
        return Estimate(value=None)
    return _of_shares(answers, float(right.mean()), [Share(right, answers.group_numbers[among])])


def _good_and_defect(answers: Answers, wrong: bool, of_good: float, of_defects: float) -> list[Share]:
    """The shares rightly (or, where `wrong`, wrongly) let through and stopped, with their weights."""
    right = (answers.stopped == answers.defect) != wrong
    kinds = ((~answers.defect, of_good), (answers.defect, of_defects))
    return [Share(right[kind], answers.group_numbers[kind], weight) for kind, weight in kinds if weight]


def _errors(answers: Answers) -> list[Share]:
    of_defects, of_good = answers.rule.thresholds.recall_weights
    return _good_and_defect(answers, True, of_good / 2, of_defects / 2)


_SHARES: dict[Statistic, Callable[[Answers], list[Share]]] = {
    accuracy: lambda answers: [Share(answers.stopped == answers.defect, answers.group_numbers)],
    balanced_accuracy: lambda answers: _good_and_defect(answers, False, 0.5, 0.5),
    recall_good: lambda answers: _good_and_defect(answers, False, 1.0, 0.0),
    recall_defect: lambda answers: _good_and_defect(answers, False, 0.0, 1.0),
    cost_per_part: _errors,
}
"""Statistics that are sums of shares. They are defined where none of their shares is of nothing."""
