"""Every image looked at: rarely wrong, soon right, and not upset by a single odd part."""

from dataclasses import replace

import numpy as np
import pytest

from drift.scores import Scores
from drift.sequential import MEMORY, Bank, Sequential, alarms_of, learned

ENTRIES, RUN_LENGTH = 8, 2000.0
MIX = np.random.default_rng(5).normal(size=(ENTRIES, ENTRIES)) / np.sqrt(ENTRIES)


def images(rng: np.random.Generator, count: int, *, likeness: float = 0.0) -> np.ndarray:
    """Vectors [count, m] of correlated entries with heavy tails, each like the one before to a degree."""
    noise = rng.standard_t(4, size=(count, ENTRIES)) @ MIX
    found = np.empty_like(noise)
    state = noise[0]
    for i, shock in enumerate(noise):
        state = likeness * state + np.sqrt(1.0 - likeness**2) * shock
        found[i] = state
    return found


@pytest.fixture(scope="module")
def bank() -> Bank:
    return learned(images(np.random.default_rng(1), 4000), np.random.default_rng(2), run_length=RUN_LENGTH)


def alarms(detector: Sequential, vectors: np.ndarray) -> list[int]:
    """Numbers of the images that signal, from 1."""
    found = []
    for number, vector in enumerate(vectors, start=1):
        detector.update(vector)
        if detector.drift_detected:
            found.append(number)
    return found


def alarms_in_control(bank: Bank, vectors: np.ndarray, streams: int) -> int:
    """Over streams side by side."""
    rows = np.arange(len(vectors)).reshape(streams, -1)
    return alarms_of(bank.course(bank.scores.of(vectors), rows).max(axis=0), 1.0, MEMORY)


@pytest.mark.parametrize("likeness", [0.0, 0.9])
def test_false_alarms_come_as_seldom_as_stated_on_images_it_has_not_seen(likeness: float) -> None:
    """60,000 images at 1 in 2,000: 30 alarms, of a threshold that 20 alarms have set."""
    rng = np.random.default_rng(3)
    bank = learned(images(rng, 8000, likeness=likeness), rng, run_length=RUN_LENGTH)
    assert 8 <= alarms_in_control(bank, images(rng, 60_000, likeness=likeness), 20) <= 75


def test_limits_of_independent_images_would_not_hold_where_images_resemble_each_other(bank: Bank) -> None:
    """One in 2,000 images promised, and all of 20 streams of 500 ring."""
    assert alarms_in_control(bank, images(np.random.default_rng(4), 10_000, likeness=0.9), 20) >= 20


def test_a_gross_shift_is_found_on_the_first_images_and_a_small_one_once_it_adds_up(bank: Bank) -> None:
    rng = np.random.default_rng(6)
    spread = bank.scores.spread
    for shift, most in ((6.0, 2), (1.5, 15), (0.5, 120)):
        delays = []
        for _ in range(10):
            detector = Sequential(bank)
            alarms(detector, images(rng, 200))
            delays.append((alarms(detector, images(rng, 1000) + shift * spread) or [1000])[0])
        assert np.mean(delays) <= most, shift


def test_each_memory_is_of_use(bank: Bank) -> None:
    """A bank that knows only the last image misses what the long memories find."""
    blind = replace(bank, limits=np.where(np.arange(len(bank.limits)) == 0, bank.limits, 1e9))
    vectors = images(np.random.default_rng(7), 400) + 0.7 * bank.scores.spread
    assert alarms(Sequential(bank), vectors)
    assert not alarms(Sequential(blind), vectors)


def test_images_that_only_spread_more_are_found_although_their_mean_stays(bank: Bank) -> None:
    assert alarms(Sequential(bank), 2.0 * images(np.random.default_rng(8), 200))


def test_one_odd_entry_of_one_image_is_no_alarm_however_odd(bank: Bank) -> None:
    detector = Sequential(bank)
    alarms(detector, images(np.random.default_rng(9), 100))
    odd = bank.scores.centre.copy()
    odd[3] += 1e6 * bank.scores.spread[3]
    assert detector.update(odd) < 1.0


def test_a_rare_class_that_was_never_answered_is_no_alarm_by_itself() -> None:
    rng = np.random.default_rng(10)
    control = np.column_stack([images(rng, 3000), np.zeros(3000)])
    bank = learned(control, rng, run_length=RUN_LENGTH)
    answered = np.append(bank.scores.centre[:-1], 1.0)
    assert Sequential(bank).update(answered) < 1.0


def test_it_starts_anew_after_a_signal_and_signals_again_while_the_shift_stays(bank: Bank) -> None:
    detector, rng = Sequential(bank), np.random.default_rng(11)
    shifted = images(rng, 40) + 3.0 * bank.scores.spread
    assert len(alarms(detector, shifted)) >= 4
    alarms(detector, shifted[:3])
    assert alarms(detector, images(rng, 50)) in ([], [1])
    assert not detector.drift_detected
    assert detector.since >= 49


def test_in_bulk_and_one_by_one_say_the_same_and_the_order_of_images_counts(bank: Bank) -> None:
    quiet, shifted = images(np.random.default_rng(12), 60), images(np.random.default_rng(13), 5) + 0.8
    vectors = np.concatenate([quiet, shifted])
    bulk = bank.course(bank.scores.of(vectors), np.arange(len(vectors))[None]).max(axis=0)[0]
    detector = Sequential(replace(bank, limits=1e3 * bank.limits))
    assert [1e3 * detector.update(vector) for vector in vectors] == pytest.approx(bulk.tolist(), rel=1e-5)
    backwards = Sequential(replace(bank, limits=1e3 * bank.limits))
    assert [backwards.update(vector) for vector in vectors[::-1]][-1] * 1e3 != pytest.approx(bulk[-1], rel=0.05)


def test_a_vector_that_is_not_finite_is_passed_over(bank: Bank) -> None:
    detector = Sequential(bank)
    before = detector.update(bank.scores.centre + bank.scores.spread)
    assert detector.update(np.full(ENTRIES, np.nan)) == before
    assert detector.since == 1


def test_too_few_images_or_values_that_are_not_finite_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="999 images: a run length of 2000 needs 1000 at least"):
        learned(images(rng, 999), rng, run_length=2000.0)
    with pytest.raises(ValueError, match="needs 2000"):
        learned(images(rng, 1500), rng, run_length=20_000.0)
    with pytest.raises(ValueError, match="finite"):
        Scores.learned(np.full((100, 3), np.nan))
