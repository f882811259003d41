"""The mix of classes."""

import numpy as np
import pytest

from drift.bbse import PriorShift, estimated_shares
from drift.evaluate import PlantedLine, evaluate
from drift.profile import Commissioning, ProfileKey

KEY = ProfileKey(bundle_hash="0" * 64, camera="agent/cam", product="cap", runtime="test")


def test_more_defects_are_a_prior_shift_and_another_light_is_none() -> None:
    line = PlantedLine(np.random.default_rng(1))
    commissioning = Commissioning(key=KEY, windows_needed=60)
    for window in line.windows(60):
        commissioning = commissioning.add(window)
    profile = commissioning.profile()
    sigma = np.sqrt(np.diag(np.array(profile.covariance)))
    shares = np.array([name.startswith("class-") for name in profile.names])
    light = np.array([name == "mean" for name in profile.names])
    assert evaluate(PriorShift(profile), [], line.windows(6, 8.0 * sigma * shares)).delay_windows == 3
    assert evaluate(PriorShift(profile), [], line.windows(20, 20.0 * sigma * light)).missed


def test_true_shares_are_recovered_from_the_answers_of_a_model_that_errs() -> None:
    confusion = {"good": {"good": 90, "pit": 10}, "pit": {"good": 20, "pit": 80}}
    answers = {"good": 900 * 0.6 + 200 * 0.4, "pit": 100 * 0.6 + 800 * 0.4}
    shares = estimated_shares(confusion, answers)  # type: ignore[arg-type]
    assert shares == pytest.approx({"good": 0.6, "pit": 0.4})


@pytest.mark.parametrize(
    "confusion",
    [
        {"good": {"good": 50, "pit": 50}, "pit": {"good": 50, "pit": 50}},
        {"good": {"good": 90, "pit": 10}, "pit": {}},
        {},
    ],
)
def test_shares_are_not_estimated_from_a_model_that_cannot_tell(confusion: dict[str, dict[str, int]]) -> None:
    assert estimated_shares(confusion, {"good": 50, "pit": 50}) is None
