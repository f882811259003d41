"""One list of checks that every detector over window means passes; detectors are discovered, not enumerated."""

import importlib
import inspect
import pkgutil

import numpy as np
import pytest

import drift
from drift.cusum import Cusum
from drift.evaluate import Detector, PlantedLine, evaluate
from drift.ewma import Ewma
from drift.hotelling import HotellingT2
from drift.nodrift import NoDrift
from drift.plantcharts import PlantCharts
from drift.profile import Commissioning, Profile, ProfileKey

KEY = ProfileKey(bundle_hash="0" * 64, camera="agent/cam", product="cap", runtime="test")


def detectors() -> list[type]:
    """Classes of `drift` whose `update` takes a window's mean and number of images."""
    found = []
    for module in pkgutil.iter_modules(drift.__path__):
        for _, member in inspect.getmembers(importlib.import_module(f"drift.{module.name}"), inspect.isclass):
            update = getattr(member, "update", None)
            own = member.__module__ == f"drift.{module.name}" and member is not Detector
            if own and update and list(inspect.signature(update).parameters)[1:] == ["mean", "images"]:
                found.append(member)
    return found


def make(kind: type, profile: Profile) -> Detector:
    built: Detector = kind(profile) if inspect.signature(kind).parameters else kind()
    return built


@pytest.fixture(scope="module")
def line() -> PlantedLine:
    return PlantedLine(np.random.default_rng(0))


@pytest.fixture(scope="module")
def profile(line: PlantedLine) -> Profile:
    commissioning = Commissioning(key=KEY, windows_needed=60, windows_most=60)
    for window in line.windows(60):
        commissioning = commissioning.add(window)
    return commissioning.profile()


def test_there_are_detectors_to_check() -> None:
    assert NoDrift in detectors()
    assert len(detectors()) >= 2


@pytest.mark.parametrize("kind", detectors())
def test_detector_begins_quiet_and_stays_quiet_in_control(kind: type, line: PlantedLine, profile: Profile) -> None:
    detector = make(kind, profile)
    assert not detector.drift_detected
    assert evaluate(detector, line.windows(50)).false_alarms == 0


@pytest.mark.parametrize("kind", [kind for kind in detectors() if kind is not NoDrift])
def test_detector_finds_a_gross_drift_and_falls_silent_after_it(
    kind: type, line: PlantedLine, profile: Profile
) -> None:
    detector = make(kind, profile)
    result = evaluate(detector, line.windows(10), line.windows(6, 10.0 * np.sqrt(np.diag(profile.covariance))))
    assert result.delay_windows <= 4
    for window in line.windows(5):
        detector.update(np.array(window.mean), window.images)
    assert not detector.drift_detected


def sigmas(profile: Profile, *names: str) -> np.ndarray:
    """One standard deviation of window means [m] in these entries, 0 elsewhere."""
    chosen = np.isin(profile.names, names)
    return np.sqrt(np.diag(np.array(profile.covariance))) * chosen


def test_a_drift_too_slow_for_single_windows_is_found_by_weighted_means(line: PlantedLine, profile: Profile) -> None:
    slow = [line.windows(1, 0.06 * n * sigmas(profile, "mean", "contrast"))[0] for n in range(40)]
    assert evaluate(HotellingT2(profile), [], slow).missed
    assert not evaluate(Ewma(profile), [], slow).missed


def test_cumulative_sums_find_a_shift_in_windows_of_few_images(profile: Profile) -> None:
    few = PlantedLine(np.random.default_rng(0), images=10)  # the same line as `line`, before it went on
    shift = 3.0 * sigmas(profile, "contrast")
    for sign in (1.0, -1.0):
        found = evaluate(Cusum(profile), few.windows(60), few.windows(60, sign * shift))
        assert (found.false_alarms, found.missed) == (0, False)


def test_plant_charts_see_brightness_and_rejects_and_nothing_of_the_embedding(
    line: PlantedLine, profile: Profile
) -> None:
    for seen in ("mean", "sharpness", "class-defect"):
        assert not evaluate(PlantCharts(profile), [], line.windows(8, 6.0 * sigmas(profile, seen))).missed
    hidden = 6.0 * sigmas(profile, "pc-01", "pc-02", "pc-03", "mahalanobis")
    assert evaluate(PlantCharts(profile), [], line.windows(8, hidden)).missed
    assert not evaluate(HotellingT2(profile), [], line.windows(8, hidden)).missed
