"""Commissioning and profile."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf

from drift.evaluate import PlantedLine
from drift.hotelling import HotellingT2
from drift.profile import (
    Commissioning,
    Profile,
    ProfileKey,
    held_out_t2,
    least_variance,
    shrunk_covariance,
    t2,
    widening,
)
from drift.window import VectorSums, WindowMean, mean_of

KEY = ProfileKey(bundle_hash="0" * 64, camera="agent/cam", product="cap", runtime="test")


def commissioned(line: PlantedLine, windows: int = 60) -> Profile:
    commissioning = Commissioning(key=KEY, windows_needed=windows, windows_most=windows)
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
    windows = line.windows(40)
    straight = interrupted = Commissioning(key=KEY, windows_needed=40, windows_most=40)
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


def test_a_profile_of_as_few_windows_as_may_be_sees_a_gross_fault() -> None:
    line = PlantedLine(np.random.default_rng(5), components=16)
    commissioning = Commissioning(key=KEY, windows_needed=20, windows_most=20)
    while not commissioning.complete:
        commissioning = seen(commissioning, line, 1)
    assert commissioning.seen == len(line.names) + 16
    detector = HotellingT2(commissioning.profile())
    fault = 10.0 * np.sqrt(line.spread()) * (np.arange(len(line.names)) < 2)
    assert detector.judge(line.means(1)[0] + fault, line.images).over
    assert not detector.judge(line.means(1)[0], line.images).over


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


def seen(commissioning: Commissioning, line: PlantedLine, count: int) -> Commissioning:
    return commissioning.add_all(line.names, line.means(count), line.spread(), line.images)


def test_commissioning_asks_for_more_windows_the_slower_the_wander_is() -> None:
    asked = []
    for memory in (20, 300, 1_000):  # images; a window has 100
        line = PlantedLine(np.random.default_rng(5), memory_images=memory)
        commissioning = Commissioning(key=KEY, windows_needed=60)
        while not commissioning.complete:
            commissioning = seen(commissioning, line, 20)
        asked.append(commissioning.seen)
    assert asked[0] == 60
    assert 100 < asked[1] < asked[2]
    assert asked[2] > 600


def test_commissioning_of_a_wander_without_an_end_gives_up_at_its_most_windows_and_widens() -> None:
    rng = np.random.default_rng(6)
    walk = np.cumsum(rng.normal(size=(2_000, 4)), axis=0)
    names, spread = ("a", "b", "c", "d"), np.full(4, 1e-6)
    commissioning = Commissioning(key=KEY, windows_needed=60, windows_most=2_000)
    for start in range(0, 2_000, 50):
        assert not commissioning.complete
        commissioning = commissioning.add_all(names, walk[start : start + 50], spread, 100)
    profile = commissioning.profile()
    assert profile.independent is not None
    assert profile.independent < 17
    assert np.diag(profile.covariance).min() > 1.3 * walk.var(axis=0).min()


def test_commissioning_lasts_over_a_whole_cycle_and_says_how_far_it_is() -> None:
    line = PlantedLine(np.random.default_rng(7))
    start = datetime(2026, 1, 5, tzinfo=UTC)
    commissioning = Commissioning(key=KEY, windows_needed=20, cycle_hours=2.0)
    asked = []
    for number, window in enumerate(line.windows(121)):
        assert not commissioning.complete
        commissioning = commissioning.add(window, start + timedelta(minutes=number))
        asked.append(commissioning.asked)
    assert commissioning.complete
    assert asked[60] == pytest.approx(120, abs=3)


def test_a_wander_that_was_seen_seldom_widens_its_entry_alone() -> None:
    wide = widening(np.array([1.0, 50.0]), 1_000)
    assert wide[0] == 1.0
    assert 1.3 < wide[1] < 2.0


def test_a_profile_of_before_is_read_and_judged_as_it_was() -> None:
    stored = commissioned(PlantedLine(np.random.default_rng(8))).model_dump(mode="json")
    for field in ("degrees", "kinship", "independent", "rolled"):
        del stored[field]
    old = Profile.model_validate(stored)
    assert old.rolled is None
    judgement = HotellingT2(old).judge(np.array(old.mean), 100)
    assert judgement.limit >= 53.16  # the F-limit at p = 0.01 of 60 windows and 16 entries


def test_a_commissioning_of_before_starts_anew() -> None:
    stored = Commissioning(key=KEY).model_dump(mode="json") | {
        "names": ["a"],
        "means": [[1.0], [2.0]],
        "spreads": [2.0],
        "images": [10, 10],
    }
    window = WindowMean(names=("a",), mean=(1.0,), spread=(1.0,), images=10)
    assert Commissioning.model_validate(stored).add(window).seen == 1


def test_a_profile_with_roll_ups_of_four_weeks_fits_its_size() -> None:
    line = PlantedLine(np.random.default_rng(9), components=16, memory_images=600)
    commissioning = seen(Commissioning(key=KEY), line, 40_320)
    profile = commissioning.profile()
    assert profile.rolled is not None
    assert profile.rolled.images == 1_000
    assert len(profile.model_dump_json()) < 64 * 1024
