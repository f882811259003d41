"""When a variant counts as equal: the rule, in values."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.certificate import TaskMetrics
from exporter.certificate import objections
from exporter.settings import Limits

LIMITS = Limits(agreement=0.98, agreement_at_least=0.93, metric_drop=0.01)


def metrics(balanced_accuracy: float | None = 0.9, auroc: float | None = 0.95) -> TaskMetrics:
    values: dict[str, Any] = dict.fromkeys(("accuracy", "best_constant", "recall_good", "recall_defect"), 0.9)
    return TaskMetrics(examples=100, balanced_accuracy=balanced_accuracy, auroc=auroc, **values)


def test_agreement_alone_is_enough() -> None:
    assert objections(0.98, metrics(0.5, 0.5), metrics(), LIMITS) == []


def test_less_agreement_is_enough_where_no_metric_falls() -> None:
    assert objections(0.95, metrics(0.895, 0.945), metrics(), LIMITS) == []


def test_gain_is_no_objection() -> None:
    assert objections(0.95, metrics(0.99, 0.99), metrics(), LIMITS) == []


def test_falling_balanced_accuracy_is_named_with_its_size() -> None:
    reasons = objections(0.95, metrics(0.87), metrics(), LIMITS)
    assert len(reasons) == 1
    assert "balanced accuracy falls by 3.0%, more than 1.0%" in reasons[0]


def test_falling_auroc_is_named() -> None:
    assert "AUROC falls by 2.0%" in objections(0.95, metrics(auroc=0.93), metrics(), LIMITS)[0]


def test_too_little_agreement_fails_whatever_the_metrics_say() -> None:
    reasons = objections(0.92, metrics(1.0, 1.0), metrics(), LIMITS)
    assert reasons == ["the most probable class is that of the float model on 92.0% of the images, less than the 93.0% "
                       "that are needed"]  # fmt: skip


@pytest.mark.parametrize("agreement", [0.95, 0.99])
def test_undefined_metrics_are_no_objection(agreement: float) -> None:
    assert objections(agreement, metrics(None, None), metrics(None, None), LIMITS) == []
