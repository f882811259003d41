"""Intervals of shares say how few the images are, however right the answers."""

from dataclasses import replace

import numpy as np
import pytest

from runtime.metrics import wilson_interval
from tests.trainer.evaluation.conftest import RULE, made
from trainer.evaluation import figures
from trainer.evaluation.figures import Answers, estimate
from trainer.evaluation.intervals import Share, effective_count, sum_interval


def all_right(count: int, *, per_group: int = 1) -> Answers:
    answers = made(count, per_group=per_group)
    said = np.full((count, 3), 0.01)
    said[np.arange(count), answers.true] = 0.98
    return Answers(answers.examples, said, RULE)


@pytest.mark.parametrize(
    "statistic", [figures.accuracy, figures.balanced_accuracy, figures.recall_good, figures.recall_defect]
)
def test_twelve_right_answers_are_no_certainty(statistic: figures.Statistic) -> None:
    few, many = estimate(all_right(12), statistic), estimate(all_right(400), statistic)
    assert few.value == many.value == 1.0
    assert few.low is not None
    assert many.low is not None
    assert few.low < 0.8
    assert few.low < many.low < 1.0
    assert few.high == pytest.approx(1.0)


def test_no_errors_may_still_cost_something() -> None:
    found = estimate(all_right(12), figures.cost_per_part)
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high is not None
    assert found.high > 0.2


def test_what_every_resample_says_alike_has_no_interval() -> None:
    found = estimate(all_right(12), figures.area)
    assert (found.value, found.low, found.high) == (1.0, None, None)


def test_images_alone_in_their_groups_are_worth_themselves() -> None:
    right = np.arange(50) % 5 > 0
    assert effective_count(right, np.arange(50)) == pytest.approx(50)
    assert Share(right, np.arange(50)).interval == pytest.approx(wilson_interval(40, 50))


def test_images_that_go_wrong_by_the_group_are_worth_one_each() -> None:
    groups = np.arange(400) // 20
    by_group = np.isin(groups, [3, 9, 11, 17], invert=True)
    by_image = np.random.default_rng(0).permutation(by_group)
    alike, apart = effective_count(by_group, groups), effective_count(by_image, groups)
    assert 20 <= alike < 30
    assert apart > 150


def test_the_first_error_does_not_make_an_interval_narrower_than_none() -> None:
    groups = np.arange(300) // 30
    none, one = np.ones(300, dtype=bool), np.arange(300) != 7
    several = np.arange(300) % 30 != 7
    low = [Share(right, groups).interval[0] for right in (none, one, several)]
    assert pytest.approx(effective_count(none, groups)) == 10
    assert effective_count(none, groups) < effective_count(one, groups) < effective_count(several, groups)
    assert low[0] < low[1]
    assert low[1] < 0.95, "one error tells little of how alike the images of a group are"


def test_shares_that_err_together_widen_their_sum() -> None:
    rng = np.random.default_rng(1)
    groups = np.arange(200) // 10
    hard = rng.uniform(size=20) < 0.3
    right = rng.uniform(size=200) > np.where(hard[groups], 0.7, 0.05)
    together = [Share(right[::2], groups[::2], 0.5), Share(right[1::2], groups[1::2], 0.5)]
    apart = [together[0], replace(together[1], groups=together[1].groups + 20)]
    (low, high), (near, far) = sum_interval(together), sum_interval(apart)
    assert low < near < far < high


def test_intervals_over_groups_hold_the_truth() -> None:
    """Groups of ten with one image in twenty wrong: where the bootstrap holds it in four of five."""
    rng, held = np.random.default_rng(2), 0
    for _ in range(200):
        hard = rng.beta(0.05 * 4, 0.95 * 4, 12)
        groups = np.arange(120) // 10
        low, high = Share(rng.uniform(size=120) > hard[groups], groups).interval
        held += low <= 0.95 <= high
    assert held >= 184
