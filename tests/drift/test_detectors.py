"""One list of checks that every detector over window means passes; detectors are discovered, not enumerated."""

import importlib
import inspect
import pkgutil

import numpy as np
import pytest

import drift
from drift.evaluate import Detector, PlantedLine, evaluate
from drift.nodrift import NoDrift
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
