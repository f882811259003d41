"""Where a score becomes a decision."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from contracts.thresholds import Thresholds


def test_review_band_lies_below_the_threshold() -> None:
    with pytest.raises(ValidationError, match="review_from must not exceed ng"):
        Thresholds(ng=0.4, review_from=0.5)


def test_costs_weigh_by_how_often_each_kind_comes() -> None:
    common = Thresholds(ng=0.5, review_from=0.5, cost_escape=20.0, cost_false_reject=2.0)
    assert common.recall_weights == (20.0, 2.0)
    rare = common.model_copy(update={"defect_share": 0.1})
    assert rare.recall_weights == pytest.approx((4.0, 3.6))
