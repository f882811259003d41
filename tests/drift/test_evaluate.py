"""The harness itself, on detectors and lines whose truth is known."""

from math import exp, isnan

import numpy as np
import pytest

from drift.evaluate import PlantedLine, _WindowedWander, evaluate
from drift.nodrift import NoDrift


class Scripted:
    """Answers what it was told to, window by window."""

    def __init__(self, answers: str) -> None:
        self._answers = iter(answers)
        self.drift_detected = False

    def update(self, mean: np.ndarray, images: int) -> None:
        self.drift_detected = next(self._answers) == "!"


@pytest.fixture
def line() -> PlantedLine:
    return PlantedLine(np.random.default_rng(0))


def test_nothing_planted_means_no_delay_and_no_miss(line: PlantedLine) -> None:
    result = evaluate(NoDrift(), line.windows(5))
    assert isnan(result.delay_windows)
    assert not result.missed


def test_planted_and_never_found_is_a_miss_without_a_delay(line: PlantedLine) -> None:
    result = evaluate(NoDrift(), [], line.windows(5))
    assert isnan(result.delay_windows)
    assert result.missed


def test_an_alarm_that_goes_on_counts_once(line: PlantedLine) -> None:
    assert evaluate(Scripted(".!!!.!."), line.windows(7)).false_alarms == 2


def test_delay_counts_windows_from_the_drift_on(line: PlantedLine) -> None:
    assert evaluate(Scripted("....!"), line.windows(2), line.windows(3)).delay_windows == 3


def test_an_alarm_left_over_from_before_is_no_detection(line: PlantedLine) -> None:
    assert evaluate(Scripted(".!!.!"), line.windows(2), line.windows(3)).delay_windows == 3


@pytest.mark.parametrize("memory", [5.0, 40.0])
def test_window_means_of_the_wander_have_the_moments_of_one_sampled_image_by_image(memory: int) -> None:
    a, images = exp(-1.0 / memory), 20
    lags = np.arange(-images + 1, images)
    variance = ((images - np.abs(lags)) * a ** np.abs(lags)).sum() / images**2
    neighbour = ((images - np.abs(lags)) * a ** (lags + images)).sum() / images**2
    means = _WindowedWander(memory, images, np.random.default_rng(0)).means(40_000)
    assert means.var() == pytest.approx(variance, rel=0.05)
    assert np.mean(means[1:] * means[:-1]) == pytest.approx(neighbour, abs=0.03)
