"""From probabilities to what the line is told."""

from __future__ import annotations

import numpy as np
import pytest

from contracts.frame import Decision
from contracts.thresholds import Thresholds
from runtime.decision import Rule, decide, defect_scores

RULE = Rule(("good", "fine", "crack"), ("good", "fine"), Thresholds(ng=0.75, review_from=0.25))


@pytest.mark.parametrize(
    ("crack", "decision"),
    [(0.0, "OK"), (0.24, "OK"), (0.25, "REVIEW"), (0.74, "REVIEW"), (0.75, "NG"), (1.0, "NG")],
)
def test_bounds_belong_to_the_stricter_side(crack: float, decision: str) -> None:
    answer = decide(np.array([(1 - crack), 0.0, crack]), RULE)
    assert answer.decision is Decision(decision)
    assert answer.defect_score == pytest.approx(crack)


def test_good_classes_add_up() -> None:
    answer = decide(np.array([0.35, 0.35, 0.3], np.float32), RULE)
    assert answer.defect_score == pytest.approx(0.3, abs=1e-6)
    assert answer.label == "good"


def test_label_is_the_most_probable_class_whatever_the_decision() -> None:
    rule = Rule(("good", "crack"), ("good",), Thresholds(ng=0.2, review_from=0.2))
    answer = decide(np.array([0.7, 0.3]), rule)
    assert (answer.label, answer.decision) == ("good", Decision.NG)


def test_score_stays_within_0_and_1_in_spite_of_rounding() -> None:
    rule = Rule(("good", "crack"), ("good",), Thresholds(ng=0.5, review_from=0.5))
    assert decide(np.array([1.0000001, 0.0], np.float32), rule).defect_score == 0.0
    assert defect_scores(np.array([[1.2, -0.2], [-0.1, 1.1]]), rule).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("probabilities", [[0.5, 0.5], [0.5, float("nan"), 0.5]])
def test_what_is_no_answer_is_refused(probabilities: list[float]) -> None:
    with pytest.raises(ValueError, match=r"expected 3|not finite"):
        decide(np.array(probabilities), RULE)


def test_one_image_gets_the_score_that_many_get_bit_for_bit() -> None:
    draw = np.random.default_rng(5)
    for _ in range(300):
        labels = tuple(map(str, range(draw.integers(2, 14))))
        good = tuple(label for label in labels if draw.random() < 0.7) or labels[:1]
        rule = Rule(labels, good, Thresholds(ng=0.5, review_from=0.5))
        probabilities = draw.dirichlet(np.ones(len(labels))).astype(np.float32)
        score = decide(probabilities, rule).defect_score
        assert score == defect_scores(probabilities[np.newaxis], rule)[0]
