"""From answers to figures: with intervals over groups, by class, by column, and with what the test cannot resolve."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from runtime.decision import Rule, defect_scores
from runtime.metrics import auroc, bootstrap_interval, wilson_interval
from trainer.dataset import Example
from trainer.evaluation.report import Calibration, ClassFigures, Estimate, Slice
from trainer.split import group_of

_RESAMPLES = 400
_BINS = 10
_POWER, _LEVEL = 0.8416, 1.9600  # normal quantiles: 80 % power at a two-sided 5 %
_FEWEST = 10  # images of good and of defect, below which a slice tells nothing
_MOST_VALUES = 12  # of a column that makes slices


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

    def rows(self, rows: Sequence[int]) -> Answers:
        """Some of them."""
        chosen = tuple(self.examples[row] for row in rows)
        return Answers(chosen, self.probabilities[np.array(rows, dtype=np.int64)], self.rule)


Statistic = Callable[[Answers, NDArray[np.intp]], float | None]


def estimate(answers: Answers, statistic: Statistic) -> Estimate:
    """The figure over all rows, its interval by resampling whole groups; none where there is a single group."""
    everything = np.arange(len(answers.examples))
    value = statistic(answers, everything)
    if value is None or len(set(answers.groups)) < 2:
        return Estimate(value=value)
    bounds = bootstrap_interval(
        lambda rows: statistic(answers, rows), len(everything), groups=answers.groups, resamples=_RESAMPLES
    )  # fmt: skip
    low, high = bounds or (None, None)
    return Estimate(value=value, low=low, high=high)


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
    """Every class: precision and recall with Wilson's interval, F1 with one over groups."""
    said = answers.probabilities.argmax(1)
    found = {}
    for kind, label in enumerate(answers.rule.labels):
        true, called = answers.true == kind, said == kind
        both = int((true & called).sum())
        found[label] = ClassFigures(
            images=int(true.sum()),
            precision=_share(both, int(called.sum())),
            recall=_share(both, int(true.sum())),
            f1=estimate(answers, partial(f1, kind=kind)),
        )
    return found


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


def slices(answers: Answers) -> tuple[Slice, ...]:
    """The figures for every value of `site`, `group` (where there are few) and any other column of the manifest; worst
    first. Slices without ten good parts or ten defects say nothing and are left out."""
    columns = {"site": [example.site for example in answers.examples],
               "group": [example.group for example in answers.examples]}  # fmt: skip
    for name in sorted({key for example in answers.examples for key in example.attributes}):
        columns[name] = [example.attributes.get(name, "") for example in answers.examples]
    found = []
    for column, values in columns.items():
        counts = Counter(values)
        if not 2 <= len(counts) <= _MOST_VALUES:
            continue
        for value in counts:
            rows = [row for row, other in enumerate(values) if other == value]
            part = answers.rows(rows)
            if min(int(part.defect.sum()), int((~part.defect).sum())) >= _FEWEST:
                found.append(Slice(
                    column=column, value=value, images=len(rows),
                    balanced_accuracy=estimate(part, balanced_accuracy),
                    recall_good=estimate(part, recall_good), recall_defect=estimate(part, recall_defect),
                ))  # fmt: skip
    return tuple(sorted(found, key=lambda item: item.balanced_accuracy.value or 0.0))


def smallest_difference(answers: Answers) -> float | None:
    """The difference of balanced accuracy that two models must have to be told apart on images like these, with 80 %
    power at 5 %: 2.8 times the standard error of a difference of two independent runs, which is that of one, over
    groups, times the root of two."""
    interval = estimate(answers, balanced_accuracy)
    if interval.low is None or interval.high is None:
        return None
    standard_error = (interval.high - interval.low) / (2 * _LEVEL)
    return (_LEVEL + _POWER) * math.sqrt(2) * standard_error


def _share(hits: int, count: int) -> Estimate:
    if not count:
        return Estimate(value=None)
    low, high = wilson_interval(hits, count)
    return Estimate(value=hits / count, low=low, high=high)
