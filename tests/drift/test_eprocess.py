"""The label e-process: rarely wrong, quickly right, and a value."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift.eprocess import EProcess, stakes
from drift.tolerance import apparent_error, certified_bound


def proven_after(errors: np.ndarray, tolerated: float = 0.02) -> int | None:
    process = EProcess(tolerated=tolerated)
    for number, wrong in enumerate(errors, start=1):
        process = process.update(bool(wrong))
        if process.drift_detected:
            return number
    return None


def test_false_proofs_are_no_more_frequent_than_ville_allows() -> None:
    """At a threshold of 20 the chance is at most 5 % however long one looks, and the process uses nearly all of it. 400
    sequences of 300 labels; a chance of 5 % gives 33 with probability 0.003."""
    rng = np.random.default_rng(0)
    false = 0
    for _ in range(400):
        process = EProcess(tolerated=0.1, proof=20.0)
        for wrong in rng.random(300) < 0.1:
            process = process.update(bool(wrong))
            if process.drift_detected:
                break
        false += process.drift_detected
    assert 10 < false <= 33


@given(st.lists(st.booleans(), max_size=80), st.floats(0.001, 0.6), st.floats(2.0, 1e4))
def test_every_bet_is_fair_and_none_carries_past_proof(labels: list[bool], tolerated: float, proof: float) -> None:
    """What it is worth before a label is its mean over right and wrong at the tolerated error: a martingale."""
    process = EProcess(tolerated=tolerated, proof=proof)
    assert process.e_value == pytest.approx(1.0)
    for wrong in labels:
        if process.drift_detected:
            assert process.e_value == pytest.approx(proof)
            return
        after = tolerated * process.update(True).e_value + (1.0 - tolerated) * process.update(False).e_value
        assert after == pytest.approx(process.e_value)
        process = process.update(wrong)


def test_stakes_favour_what_can_be_proven_with_the_labels_of_a_drift() -> None:
    for tolerated in (0.005, 0.02, 0.1, 0.3):
        shares = stakes(tolerated)
        assert sum(shares) == pytest.approx(1.0)
        assert min(shares) >= 0.0
        patient = [share for share in shares if share == shares[0]]
        assert sum(patient) == pytest.approx(0.15)
    assert stakes(0.97) == (1 / 7,) * 7


def test_tolerance_that_changes_with_earlier_labels_stays_valid() -> None:
    rng = np.random.default_rng(1)
    false = 0
    for _ in range(200):
        process = EProcess(tolerated=0.1, proof=20.0)
        for _ in range(200):
            tolerated = 0.05 + 0.2 * (process.wrong % 3)
            process = process.update(bool(rng.random() < tolerated), tolerated=tolerated)
        false += process.drift_detected
    assert false <= 10


@pytest.mark.parametrize(("error", "most"), [(0.45, 14), (0.19, 44), (0.10, 135)])
def test_harm_is_proven_with_few_labels(error: float, most: int) -> None:
    rng = np.random.default_rng(2)
    needed = [proven_after(rng.random(2000) < error) or 2000 for _ in range(40)]
    assert np.mean(needed) < most


def test_an_error_below_the_tolerated_one_is_never_proven() -> None:
    assert proven_after(np.random.default_rng(3).random(5000) < 0.01) is None


def test_proof_once_reached_stays() -> None:
    process = EProcess(tolerated=0.02)
    for _ in range(5):
        process = process.update(True)
    process = process.update(False, times=10_000)
    assert process.e_value < 1.0
    assert process.drift_detected


@given(st.lists(st.booleans(), max_size=60), st.floats(0.001, 0.9))
def test_state_goes_on_after_a_trip_through_json_and_counts_right(labels: list[bool], tolerated: float) -> None:
    straight = stored = EProcess(tolerated=tolerated)
    for wrong in labels:
        straight = straight.update(wrong)
        stored = EProcess.model_validate_json(stored.update(wrong).model_dump_json())
    assert stored == straight
    assert (straight.labels, straight.wrong) == (len(labels), sum(labels))
    assert straight.e_value >= 0.0


@given(st.integers(1, 500), st.booleans())
def test_equal_labels_at_once_count_like_one_by_one(times: int, wrong: bool) -> None:
    single = EProcess(tolerated=0.1)
    for _ in range(times):
        single = single.update(wrong)
    assert EProcess(tolerated=0.1).update(wrong, times=times).log_wealth == pytest.approx(single.log_wealth)


def test_a_hard_task_tolerates_more_than_an_easy_one() -> None:
    assert certified_bound(25, 100) > 0.3 > 0.1 > certified_bound(0, 100)
    assert certified_bound(3, 10) > certified_bound(30, 100)
    assert certified_bound(10, 10) == 0.95


def test_wrong_labels_weigh_most_on_the_rare_side() -> None:
    rare, even, sure = (
        apparent_error(0.05, share=0.05),
        apparent_error(0.05, share=0.5),
        apparent_error(0.05, share=0.5, noise=0),
    )
    assert rare > 0.35
    assert even == pytest.approx(0.0785)
    assert sure == pytest.approx(0.05)
    assert apparent_error(0.9, share=0.0) <= 0.97
