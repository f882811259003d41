"""Figures against figures computed by hand or by scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from contracts.thresholds import Thresholds
from runtime.decision import Rule
from runtime.metrics import auroc, bootstrap_interval, task_metrics, wilson_interval

RULE = Rule(("good", "crack", "stain"), ("good",), Thresholds(ng=0.5, review_from=0.5))


def rows(*scores: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """[n, 3]: defect score s, all of it `crack`."""
    return np.array([[1 - s, s, 0.0] for s in scores])


def test_metrics_of_a_small_set_by_hand() -> None:
    metrics = task_metrics(rows(0.1, 0.2, 0.9, 0.8, 0.3), ["good", "good", "good", "crack", "stain"], RULE)
    assert metrics.examples == 5
    assert metrics.recall_good == pytest.approx(2 / 3)
    assert metrics.recall_defect == pytest.approx(1 / 2)
    assert metrics.balanced_accuracy == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert metrics.accuracy == pytest.approx(3 / 5)
    assert metrics.best_constant == pytest.approx(3 / 5)
    assert metrics.auroc == pytest.approx(4 / 6)
    assert metrics.confusion["stain"] == {"good": 1, "crack": 0, "stain": 0}
    assert metrics.recall_per_label == {"good": pytest.approx(2 / 3), "crack": 1.0, "stain": 0.0}


def test_review_counts_as_stopped() -> None:
    rule = Rule(RULE.labels, RULE.good_labels, Thresholds(ng=0.9, review_from=0.2))
    metrics = task_metrics(rows(0.3, 0.3), ["good", "crack"], rule)
    assert (metrics.recall_good, metrics.recall_defect) == (0.0, 1.0)


def test_class_without_examples_is_undefined_not_zero() -> None:
    metrics = task_metrics(rows(0.1, 0.2), ["good", "good"], RULE)
    assert metrics.recall_defect is None
    assert metrics.balanced_accuracy is None
    assert metrics.auroc is None
    assert metrics.recall_per_label["crack"] is None
    assert metrics.accuracy == 1.0


def test_no_examples_at_all() -> None:
    metrics = task_metrics(np.zeros((0, 3)), [], RULE)
    assert (metrics.examples, metrics.accuracy, metrics.best_constant, metrics.auroc) == (0, None, None, None)


def test_unknown_label_is_named() -> None:
    with pytest.raises(ValueError, match="dent"):
        task_metrics(rows(0.1), ["dent"], RULE)


def test_auroc_agrees_with_scikit_learn_on_tied_scores() -> None:
    reference = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(3)
    for _ in range(20):
        scores = generator.integers(0, 6, 60) / 5
        positive = generator.random(60) < 0.3 + 0.1 * scores
        if 0 < positive.sum() < 60:
            assert auroc(scores, positive) == pytest.approx(reference.roc_auc_score(positive, scores))


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (10, 10), (3, 7), (500, 1000)])
def test_wilson_interval_holds_the_share_and_solves_its_equation(successes: int, trials: int) -> None:
    low, high = wilson_interval(successes, trials)
    share = successes / trials
    assert 0 <= low <= share <= high <= 1
    for bound in {low, high} - {0.0, 1.0}:
        z = abs(share - bound) / np.sqrt(bound * (1 - bound) / trials)
        assert z == pytest.approx(1.96, abs=0.001)


def test_wilson_interval_covers_95_percent() -> None:
    generator = np.random.default_rng(0)
    intervals = [wilson_interval(int(hits), 40) for hits in generator.binomial(40, 0.3, 4000)]
    assert np.mean([low <= 0.3 <= high for low, high in intervals]) == pytest.approx(0.95, abs=0.02)


def test_bootstrap_interval_is_repeatable_and_holds_the_mean() -> None:
    values = np.random.default_rng(1).normal(5, 1, 200)

    def mean(indices: np.ndarray[tuple[int, ...], np.dtype[np.intp]]) -> float:
        return float(values[indices].mean())

    interval = bootstrap_interval(mean, 200, seed=4)
    assert interval is not None
    assert interval == bootstrap_interval(mean, 200, seed=4)
    assert interval[0] < values.mean() < interval[1]
    assert interval[1] - interval[0] == pytest.approx(2 * 1.96 / np.sqrt(200), rel=0.2)


def test_bootstrap_over_groups_is_wider_than_over_their_members() -> None:
    values = np.repeat(np.random.default_rng(2).normal(0, 1, 20), 10)
    groups = [str(index // 10) for index in range(200)]

    def mean(indices: np.ndarray[tuple[int, ...], np.dtype[np.intp]]) -> float:
        return float(values[indices].mean())

    alone, grouped = bootstrap_interval(mean, 200), bootstrap_interval(mean, 200, groups=groups)
    assert alone is not None
    assert grouped is not None
    assert grouped[1] - grouped[0] > 2 * (alone[1] - alone[0])


def test_bootstrap_of_something_undefined_is_none() -> None:
    assert bootstrap_interval(lambda _: None, 10, resamples=5) is None
    assert bootstrap_interval(lambda _: 1.0, 0) is None
