"""The gate's benchmark: the planted truth decides where candidates and releases end."""

import numpy as np

from benchmarks.drift.gate import Truth, halved, judged, outcome, withdrawn_after
from monitor.rules.gate import Verdict

GOLD = {"good": 300, "scratch": 100}


def test_equal_candidates_go_on_and_grave_losses_do_not() -> None:
    rng = np.random.default_rng(0)
    equal = [outcome(rng, Truth(), GOLD) for _ in range(30)]
    worse = [outcome(rng, Truth({"scratch": 0.2}), GOLD) for _ in range(30)]
    assert equal.count("served") >= 24
    assert worse.count("refused") >= 29


def test_a_class_with_few_gold_parts_is_never_passed() -> None:
    rng = np.random.default_rng(1)
    verdicts = [judged(rng, Truth(), {**GOLD, "stain": 12}) for _ in range(10)]
    assert all(verdict.verdict is Verdict.UNDECIDED for verdict in verdicts)
    assert all(any(reason.code == "gate-gold-few" for reason in verdict.reasons) for verdict in verdicts)


def test_a_release_that_is_mostly_wrong_is_withdrawn_and_one_that_keeps_its_promise_stays() -> None:
    rng = np.random.default_rng(2)
    assert all(withdrawn_after(rng, halved(0.6), 300, 30) for _ in range(5))
    assert not any(withdrawn_after(rng, halved(0.03), 300, 30) for _ in range(5))
