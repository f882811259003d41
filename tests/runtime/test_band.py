"""The REVIEW band: cheapest on average, and never wider than people have time for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from contracts.thresholds import Thresholds
from runtime.band import Prices, band, chow, defect_probability, expected_cost, score_at

OWN = Thresholds(ng=0.5, review_from=0.5, cost_escape=10.0, cost_false_reject=2.0, slope=0.7)


def line(seed: int = 3, parts: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    """Scores of a line and whether each part is defective, where the bundle's calibration is exactly right."""
    rng = np.random.default_rng(seed)
    scores = 1 / (1 + np.exp(-rng.normal(-1.0, 2.5, parts)))
    probability = np.array([defect_probability(float(score), OWN) for score in scores])
    return scores, rng.random(parts) < probability


def cost(scores: np.ndarray, defect: np.ndarray, low: float, high: float, prices: Prices) -> float:
    """What the parts truly cost."""
    missed = prices.escape * (defect & (scores < low)).sum()
    stopped = prices.false_reject * (~defect & (scores >= high)).sum()
    return float(missed + stopped + (prices.review or 0.0) * ((scores >= low) & (scores < high)).sum()) / len(scores)


def test_the_score_where_the_line_was_drawn_is_where_both_errors_cost_the_same() -> None:
    probability = defect_probability(0.5, OWN)
    assert probability * OWN.cost_escape == pytest.approx((1 - probability) * OWN.cost_false_reject)
    assert score_at(probability, OWN) == pytest.approx(0.5)


def test_another_share_of_defects_moves_the_probability_by_bayes() -> None:
    odds = defect_probability(0.5, OWN) / (1 - defect_probability(0.5, OWN))
    rarer = defect_probability(0.5, OWN, defect_share=0.1)
    assert rarer / (1 - rarer) == pytest.approx(odds * (0.1 / 0.9) / (0.5 / 0.5))


@pytest.mark.parametrize("review", [0.1, 0.4, 1.0])
def test_no_other_band_is_cheaper_on_the_line(review: float) -> None:
    prices = Prices(escape=10.0, false_reject=2.0, review=review)
    scores, defect = line()
    found = band(prices, OWN, lambda low, high: 0.0, chosen_by="test")
    reached = cost(scores, defect, found.review_from, found.ng, prices)
    grid = np.quantile(scores, np.linspace(0, 1, 60))
    cheapest = min(cost(scores, defect, low, high, prices) for low in grid for high in grid if low <= high)
    assert reached <= cheapest * 1.02
    assert found.review_from < found.ng


def test_a_review_that_never_pays_leaves_no_band() -> None:
    prices = Prices(escape=10.0, false_reject=2.0, review=Prices(10.0, 2.0).break_even)
    found = band(prices, OWN, lambda low, high: 0.0, chosen_by="test")
    assert found.review_from == found.ng == pytest.approx(0.5)


@pytest.mark.parametrize("most", [0.0, 0.01, 0.05, 0.2])
def test_the_band_fits_into_the_time_that_people_have_and_is_the_cheapest_that_does(most: float) -> None:
    scores, defect = line()

    def reviewed(low: float, high: float) -> float:
        return float(((scores >= low) & (scores < high)).mean())

    prices = Prices(escape=10.0, false_reject=2.0, review=0.1, most_reviewed=most)
    found = band(prices, OWN, reviewed, chosen_by="test")
    share = reviewed(found.review_from, found.ng)
    assert share <= most
    assert share >= 0.9 * min(most, reviewed(*(score_at(p, OWN) for p in chow(prices))))
    grid = np.quantile(scores, np.linspace(0, 1, 60))
    pairs = [(low, high) for low in grid for high in grid if low <= high and reviewed(low, high) <= most]
    cheapest = min(cost(scores, defect, low, high, prices) for low, high in pairs)
    assert cost(scores, defect, found.review_from, found.ng, prices) <= cheapest * 1.02


def test_the_expected_cost_is_that_of_the_line() -> None:
    prices = Prices(escape=10.0, false_reject=2.0, review=0.4)
    scores, defect = line()
    thresholds = Thresholds(ng=0.8, review_from=0.2)
    expected = np.mean([expected_cost(float(score), thresholds, prices, OWN) for score in scores])
    assert expected == pytest.approx(cost(scores, defect, 0.2, 0.8, prices), rel=0.05)
    assert math.isfinite(expected_cost(0.0, thresholds, prices, OWN) + expected_cost(1.0, thresholds, prices, OWN))


def test_what_was_chosen_says_by_what() -> None:
    prices = Prices(escape=30.0, false_reject=1.0, review=0.2, most_reviewed=0.05, defect_share=0.02)
    found = band(prices, OWN, lambda low, high: 0.0, chosen_by="by hand")
    assert (found.cost_escape, found.cost_review, found.most_reviewed, found.defect_share) == (30.0, 0.2, 0.05, 0.02)
    assert (found.slope, found.chosen_by) == (None, "by hand")
