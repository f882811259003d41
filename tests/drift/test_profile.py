"""Commissioning and profile."""

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf

from drift.evaluate import PlantedLine
from drift.profile import Commissioning, Profile, ProfileKey, held_out_t2, least_variance, shrunk_covariance, t2
from drift.window import VectorSums, WindowMean, mean_of

KEY = ProfileKey(bundle_hash="0" * 64, camera="agent/cam", product="cap", runtime="test")


def commissioned(line: PlantedLine, windows: int = 60) -> Profile:
    commissioning = Commissioning(key=KEY, windows_needed=windows)
    for window in line.windows(windows):
        commissioning = commissioning.add(window)
    return commissioning.profile()


def test_sums_of_vectors_give_mean_and_spread() -> None:
    vectors = np.random.default_rng(0).normal(3.0, 2.0, (50, 2)).astype(np.float32)
    sums = VectorSums(("a", "b"))
    for vector in vectors:
        sums.add(vector)
    window = sums.mean()
    assert window.mean == pytest.approx(vectors.mean(axis=0), rel=1e-5)
    assert window.spread == pytest.approx(vectors.var(axis=0), rel=1e-4)


def test_a_window_without_images_has_no_mean() -> None:
    with pytest.raises(ValueError, match="no image"):
        VectorSums(("a",)).mean()


def test_spread_is_never_negative_although_sums_are_rounded() -> None:
    assert mean_of(("a",), [3e6], [9e12 - 1.0], 1).spread == (0.0,)


def test_covariance_is_that_of_ledoit_and_wolf_on_standardised_entries() -> None:
    rng = np.random.default_rng(1)
    means = rng.normal(size=(60, 8)) @ rng.normal(size=(8, 8))
    z = (means - means.mean(axis=0)) / means.std(axis=0)
    _, expected = ledoit_wolf(z, assume_centered=True)
    _, _, found = shrunk_covariance(means, np.zeros(8))
    assert found == pytest.approx(expected, abs=0.02)


def test_held_out_windows_lie_farther_away_than_those_that_were_learned_from() -> None:
    means = PlantedLine(np.random.default_rng(4), memory_images=300).means(60)
    names = PlantedLine(np.random.default_rng(4)).names
    floor = np.full(len(names), 1e-9)
    mean, covariance, _ = shrunk_covariance(means, floor)
    learned = t2(means - mean, covariance)
    held_out = held_out_t2(names, means, floor)
    assert np.mean(held_out["all"] > learned) > 0.9
    assert set(held_out) == {"all", "image", "embedding", "class"}


def test_shrinkage_keeps_the_variances_and_makes_the_covariance_invertible() -> None:
    means = np.random.default_rng(1).normal(size=(25, 24))
    _, covariance, shrinkage = shrunk_covariance(means, np.zeros(24))
    assert np.diag(covariance) == pytest.approx(means.var(axis=0, ddof=1))
    assert 0.3 < shrinkage <= 1.0
    assert np.linalg.cond(covariance) < 100


def test_no_entry_varies_less_than_its_images_allow() -> None:
    means = np.zeros((60, 1))
    floor = least_variance(("mean",), means.mean(axis=0), 60, np.array([4.0]), images=100)
    _, covariance, _ = shrunk_covariance(means, floor)
    assert covariance[0, 0] == pytest.approx(0.04)


def test_a_class_never_answered_may_appear_once_without_being_impossible() -> None:
    floor = least_variance(("class-crack",), np.zeros(1), 60, np.zeros(1), images=100)
    once = 0.01 / np.sqrt(floor[0])
    assert 3.0 < once < 6.0


def test_commissioning_goes_on_after_a_trip_through_json() -> None:
    line = PlantedLine(np.random.default_rng(2))
    windows = line.windows(30)
    straight = interrupted = Commissioning(key=KEY, windows_needed=30)
    for window in windows:
        straight = straight.add(window)
        interrupted = Commissioning.model_validate_json(interrupted.add(window).model_dump_json())
    assert interrupted == straight
    profile = straight.profile()
    assert Profile.model_validate_json(profile.model_dump_json()) == profile


def test_profile_is_refused_until_enough_windows_were_seen() -> None:
    commissioning = Commissioning(key=KEY, windows_needed=20)
    with pytest.raises(ValueError, match="0 of 20"):
        commissioning.profile()


def test_windows_with_other_names_or_without_numbers_are_left_out() -> None:
    window = WindowMean(names=("a",), mean=(1.0,), spread=(1.0,), images=10)
    other = WindowMean(names=("b",), mean=(1.0,), spread=(1.0,), images=10)
    broken = window.model_copy(update={"mean": (float("nan"),)})
    commissioning = Commissioning(key=KEY, windows_needed=20).add(window)
    assert commissioning.add(other) == commissioning
    assert commissioning.add(broken) == commissioning


def test_a_profile_of_300_windows_stays_small() -> None:
    profile = commissioned(PlantedLine(np.random.default_rng(3), components=16), windows=300)
    assert len(profile.model_dump_json()) < 40_000
