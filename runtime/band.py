"""The REVIEW band from what errors and reviews cost, and from how many parts people have time for. No I/O.

Chow's rule (C. K. Chow, On optimum recognition error and reject tradeoff, IEEE Trans. Inf. Theory 16, 1970): with
P the probability of a defect, letting a part through costs P * escape on average, rejecting it (1 - P) * false_reject,
looking at it review. Each part gets what is cheapest, so REVIEW lies where review / escape < P < 1 - review /
false_reject. Where that is more than people can look at, the parts nearest to break-even go first: the same rule with a
higher price of a review (its shadow price), the lowest under which the band fits.

P comes from the score: the trainer draws its line where letting through and rejecting cost the same, at the score 0.5,
and fits a logistic (`trainer.threshold`): log-odds P = slope * log-odds score + log(false_reject / escape), with the
costs that the line was drawn for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from contracts.thresholds import Thresholds

_STEPS = 40
_NEVER = 1e-9  # of 0 and 1


@dataclass(frozen=True)
class Prices:
    """Of a defect that is let through, a good part that is rejected, a part that is looked at (None: nobody looks), in
    one unit; `most_reviewed` of the parts can be looked at, `defect_share` of them are defective (both 0..1)."""

    escape: float
    false_reject: float
    review: float | None = None
    most_reviewed: float = 1.0
    defect_share: float | None = None

    @property
    def break_even(self) -> float:
        """From this price on a review never pays.

        >>> Prices(escape=3.0, false_reject=1.0).break_even
        0.75
        """
        return self.escape * self.false_reject / (self.escape + self.false_reject)


def chow(prices: Prices, review: float | None = None) -> tuple[float, float]:
    """Between which two probabilities of a defect a review is cheapest; the same twice where it never is. `review` is
    its price where that differs from the one in `prices`.

    >>> chow(Prices(escape=10.0, false_reject=2.0, review=1.0))
    (0.1, 0.5)
    >>> chow(Prices(escape=1.0, false_reject=1.0, review=0.6))
    (0.5, 0.5)
    """
    review = prices.review if review is None else review
    if review is None or review >= prices.break_even:
        even = prices.false_reject / (prices.escape + prices.false_reject)
        return even, even
    return review / prices.escape, 1.0 - review / prices.false_reject


def defect_probability(score: float, own: Thresholds, defect_share: float | None = None) -> float:
    """P of a part with that score, by the calibration of the bundle whose `own` thresholds these are; where another
    share of defects is expected than it was drawn for, by that (Bayes' rule)."""
    return _expit((own.slope or 1.0) * _logit(score) + _offset(own, defect_share))


def score_at(probability: float, own: Thresholds, defect_share: float | None = None) -> float:
    """The score at which P is that: the inverse of `defect_probability`."""
    return _expit((_logit(probability) - _offset(own, defect_share)) / (own.slope or 1.0))


def band(prices: Prices, own: Thresholds, reviewed: Callable[[float, float], float], *, chosen_by: str) -> Thresholds:
    """The thresholds that cost least on average. `reviewed(low, high)` is the share of the line's parts with
    low <= score < high. Where even an empty band is all that fits, there is none."""
    low, high = _scores(prices, own, None)
    if prices.review is not None and reviewed(low, high) > prices.most_reviewed:
        low, high = _fitting(prices, own, reviewed)
    share = prices.defect_share
    return own.model_copy(
        update={
            "ng": high,
            "review_from": low,
            "cost_escape": prices.escape,
            "cost_false_reject": prices.false_reject,
            "cost_review": prices.review,
            "most_reviewed": None if prices.most_reviewed >= 1.0 else prices.most_reviewed,
            "defect_share": own.defect_share if share is None else share,
            "slope": None,  # which belongs to the bundle's own, with the costs of its line
            "chosen_by": chosen_by,
        }
    )


def expected_cost(score: float, thresholds: Thresholds, prices: Prices, own: Thresholds) -> float:
    """Of a part with that score under these thresholds, in the prices' unit; a review finds what is true."""
    probability = defect_probability(score, own, prices.defect_share)
    if score >= thresholds.ng:
        return (1.0 - probability) * prices.false_reject
    if score >= thresholds.review_from:
        return prices.review or 0.0
    return probability * prices.escape


def _fitting(prices: Prices, own: Thresholds, reviewed: Callable[[float, float], float]) -> tuple[float, float]:
    """The band at the lowest price of a review at which people have time for it."""
    cheap, dear = prices.review or 0.0, prices.break_even
    for _ in range(_STEPS):
        middle = (cheap + dear) / 2
        if reviewed(*_scores(prices, own, middle)) > prices.most_reviewed:
            cheap = middle
        else:
            dear = middle
    return _scores(prices, own, dear)


def _scores(prices: Prices, own: Thresholds, review: float | None) -> tuple[float, float]:
    low, high = chow(prices, review)
    return score_at(low, own, prices.defect_share), score_at(high, own, prices.defect_share)


def _offset(own: Thresholds, defect_share: float | None) -> float:
    drawn = math.log(own.cost_false_reject / own.cost_escape)
    return drawn if defect_share is None else drawn + _logit(defect_share) - _logit(own.defect_share)


def _logit(probability: float) -> float:
    inside = min(max(probability, _NEVER), 1.0 - _NEVER)
    return math.log(inside / (1.0 - inside))


def _expit(odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-odds)) if odds >= 0 else 1.0 - 1.0 / (1.0 + math.exp(odds))
