"""Hotelling's T2 on window means."""

import numpy as np
import pytest

from drift.evaluate import PlantedLine, evaluate
from drift.hotelling import HotellingT2, contributions, limit
from drift.persistence import Persistence
from drift.profile import Commissioning, ProfileKey

KEY = ProfileKey(bundle_hash="0" * 64, camera="agent/cam", product="cap", runtime="test")


def line_and_detector(seed: int, memory: float = 15.0) -> tuple[PlantedLine, HotellingT2]:
    line = PlantedLine(np.random.default_rng(seed), memory_images=memory)
    commissioning = Commissioning(key=KEY, windows_needed=60, windows_most=60)
    for window in line.windows(60):
        commissioning = commissioning.add(window)
    return line, HotellingT2(commissioning.profile())


def sigma(detector: HotellingT2) -> np.ndarray:
    return np.sqrt(np.diag(np.array(detector.profile.covariance)))


def group(line: PlantedLine, *names: str) -> np.ndarray:
    return np.array([name in names for name in line.names], float)


@pytest.mark.parametrize("memory", [10, 20])
def test_no_alarm_in_200_windows_of_two_cameras_under_a_wander_of_10_to_20_images(memory: int) -> None:
    pairs = [line_and_detector(seed, memory) for seed in range(40)]
    over = [detector.ratios(line.means(200)) > 1.0 for line, detector in pairs]
    assert not any((row[2:] & row[1:-1] & row[:-2]).any() for row in over)


@pytest.mark.parametrize("seed", range(5))
def test_three_sigma_in_all_image_statistics_are_found_by_the_fourth_window(seed: int) -> None:
    line, detector = line_and_detector(seed)
    image = group(line, "mean", "contrast", "sharpness", "evenness", "focus-evenness")
    result = evaluate(detector, line.windows(50), line.windows(4, 3.0 * sigma(detector) * image))
    assert result.false_alarms == 0
    assert result.delay_windows <= 4


def test_limit_is_the_f_limit_where_held_out_windows_ask_for_no_more() -> None:
    quiet = tuple([10.0] * 60)
    # m (n + 1) (n - 1) / (n (n - m)) F(0.99; 16, 44) for m = 16, n = 60
    assert limit(16, 60, 0.01, quiet) == pytest.approx(53.16, abs=0.01)


def test_limit_rises_where_held_out_windows_ask_for_more() -> None:
    restless = tuple([10.0] * 59 + [500.0])
    assert limit(16, 60, 0.01, restless) > 100


def test_small_windows_count_for_less() -> None:
    line, detector = line_and_detector(0)
    shifted = np.array(line.windows(1, 6.0 * sigma(detector) * group(line, "mean", "contrast"))[0].mean)
    whole, tenth = detector.judge(shifted, 100), detector.judge(shifted, 10)
    assert whole.over
    assert not tenth.over
    assert tenth.t2 == pytest.approx(whole.t2 / 10)


def test_many_windows_at_once_are_judged_like_one_by_one() -> None:
    line, detector = line_and_detector(0)
    means = line.means(5)
    single = [detector.judge(mean, 100) for mean in means]
    assert detector.ratios(means) == pytest.approx([one.t2 / one.limit for one in single])


def test_groups_tell_what_moved() -> None:
    line, detector = line_and_detector(1)
    shifted = np.array(line.windows(1, 8.0 * sigma(detector) * group(line, "mean", "contrast"))[0].mean)
    judgement = detector.judge(shifted, 100)
    assert judgement.groups["image"] > 1.0 > judgement.groups["embedding"]
    assert judgement.shifts["mean"] > 5.0
    assert contributions(judgement)["image"] > contributions(judgement)["class"]


def test_more_defects_are_explained_by_the_shares_of_the_answers() -> None:
    """Only the mix changes: 30 % defects become 75 %, and the rest moves along as it always did."""
    line, detector = line_and_detector(2)
    line._share = 0.75
    judgements = [detector.judge(mean, 100) for mean in line.means(5)]
    assert all(judgement.groups["class"] > 1.0 for judgement in judgements)
    assert np.mean([judgement.given["class"] for judgement in judgements]) <= 1.0


def test_factors_of_change_are_what_a_person_would_see() -> None:
    line, detector = line_and_detector(3)
    place = line.names.index("mean")
    before = np.array(detector.profile.mean)
    before[place] = 0.4
    profile = detector.profile.model_copy(update={"mean": tuple(before)})
    brighter = before.copy()
    brighter[place] = 0.8
    assert HotellingT2(profile).judge(before, 100).changes["mean"] == 0.0
    assert HotellingT2(profile).judge(brighter, 100).changes["mean"] == pytest.approx(np.log(2), abs=1e-3)


def test_persistence_waits_for_k_of_n() -> None:
    rule = Persistence(k=2, n=3)
    answers = []
    for over in (True, False, True, False, False, True):
        rule = rule.update(over)
        answers.append(rule.drift_detected)
    assert answers == [False, False, True, False, False, False]
    assert not rule.cleared().recent


def test_roll_ups_show_a_lasting_change_of_the_mix_that_windows_do_not() -> None:
    line = PlantedLine(np.random.default_rng(10), defect_share=0.1)
    commissioning = Commissioning(key=KEY).add_all(line.names, line.means(2_000), line.spread(), line.images)
    profile = commissioning.profile()
    assert profile.rolled is not None
    line._share = 0.17  # more than two standard deviations of a window's share
    means = line.means(200)
    rolled = means.reshape(-1, 10, means.shape[1]).mean(axis=1)
    assert np.mean(HotellingT2(profile).ratios(means) > 1.0) < 0.1
    assert np.mean(HotellingT2(profile.rolled).largest_ratios(rolled) > 1.0) > 0.9


def test_the_largest_ratio_of_a_judgement_is_that_of_many_at_once() -> None:
    line, detector = line_and_detector(11)
    means = line.means(5)
    assert detector.largest_ratios(means) == pytest.approx([detector.judge(mean, 100).largest_ratio for mean in means])
