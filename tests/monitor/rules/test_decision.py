"""One camera from its first window to its drift."""

from datetime import timedelta

import numpy as np

from drift.profile import Commissioning
from monitor.rules.action import OpenIncident, Phase, PhaseChanged
from tests.simulators.planted_model import IMAGES, NAMES, SETTINGS, A, B, PlantedModel, bundle_hash


def test_camera_learns_and_is_then_ok() -> None:
    model = PlantedModel()
    model.serve(1)
    model.windows(SETTINGS.commissioning_windows - 1)
    assert model.phase() is Phase.LEARNING
    model.windows(1)
    assert model.phase() is Phase.OK
    assert {change.reason.code for change in model.news_of(PhaseChanged)} == {"commissioned"}


def test_no_drift_is_raised_over_200_windows_in_control() -> None:
    model = PlantedModel()
    model.learn()
    model.windows(200)
    assert not model.all_of(OpenIncident)


def test_one_window_over_makes_suspect_and_a_quiet_one_makes_ok_again() -> None:
    model = PlantedModel()
    model.learn()
    model.windows(1, {A: "image"})
    assert model.phase(A) is Phase.SUSPECT
    assert model.phase(B) is Phase.OK
    model.windows(1)
    assert model.phase(A) is Phase.OK
    assert model.state.cameras[A].onset is None


def test_two_of_three_windows_over_are_no_drift() -> None:
    model = PlantedModel()
    model.learn()
    for _ in range(10):
        model.windows(2, {A: "image"})
        model.windows(1)
    assert not model.all_of(OpenIncident)


def test_third_window_over_raises_drift_and_the_fourth_is_diagnosed() -> None:
    model = PlantedModel()
    model.learn()
    model.windows(3, {A: "image"})
    assert model.phase() is Phase.DRIFT
    assert not model.all_of(OpenIncident)
    model.windows(1, {A: "image"})
    assert model.all_of(OpenIncident)


def test_another_bundle_starts_learning_again_and_the_old_profile_is_kept_for_a_return() -> None:
    model = PlantedModel()
    model.learn()
    model.serve(2)
    assert model.phase() is Phase.LEARNING
    model.windows(5)
    assert model.state.cameras[A].profile is None
    model.serve(1)
    assert model.phase() is Phase.OK
    assert {change.reason.code for change in model.news_of(PhaseChanged)} == {"profile-known"}


def test_windows_of_the_old_bundle_after_a_switch_are_not_judged_by_the_new_key() -> None:
    model = PlantedModel()
    model.learn()
    model.serve(2)
    model.windows(10, {A: "image", B: "image"}, bundle=1)
    assert model.phase() is Phase.LEARNING
    assert not model.all_of(OpenIncident)
    assert model.state.cameras[A].commissioning.key.bundle_hash == bundle_hash(2)


def test_an_agent_that_stays_on_its_old_bundle_is_watched_there_in_the_end() -> None:
    model = PlantedModel()
    model.learn()
    model.serve(2)
    model.windows(25, bundle=1)
    assert model.state.cameras[A].key.bundle_hash == bundle_hash(1)
    assert model.phase() is Phase.OK


def test_a_window_handed_in_twice_or_late_changes_nothing() -> None:
    model = PlantedModel()
    model.learn()
    again = model.window(A, model.now - timedelta(minutes=1), "image", 8.0, 1)
    late = again.model_copy(update={"at": again.at - timedelta(minutes=5)})
    before = model.state
    assert model.happen(again) == []
    assert model.happen(late) == []
    assert model.state == before


def test_an_agent_that_reports_other_entries_makes_the_camera_learn_again() -> None:
    model = PlantedModel()
    model.learn()
    seen = model.window(A, model.now, None, 0.0, 1)
    window = seen.window
    shorter = window.model_copy(
        update={
            "vector_names": window.vector_names[:-1],
            "vector_sum": window.vector_sum[:-1],
            "vector_square_sum": window.vector_square_sum[:-1],
        }
    )
    later = seen.at + timedelta(minutes=1)
    model.happen(seen.model_copy(update={"at": later, "window": shorter}))
    assert model.phase() is Phase.LEARNING


def test_a_window_without_images_is_passed_over() -> None:
    model = PlantedModel()
    model.learn()
    seen = model.window(A, model.now, None, 0.0, 1)
    empty = seen.window.model_copy(update={"images": 0})
    model.happen(seen.model_copy(update={"at": seen.at + timedelta(minutes=1), "window": empty}))
    assert model.phase() is Phase.OK


def test_drift_found_before_any_release_is_known_waits_and_is_then_diagnosed() -> None:
    model = PlantedModel()
    model.served = 1
    model.windows(SETTINGS.commissioning_windows)
    model.windows(6, {A: "image"})
    assert model.phase() is Phase.DRIFT
    model.serve(1)
    model.windows(1, {A: "image"})
    assert model.phase() is Phase.SENSOR


def test_windows_after_a_pause_are_passed_over_until_the_line_has_run_in() -> None:
    model = PlantedModel(settings=SETTINGS.model_copy(update={"settle_minutes": 45.0}))
    model.learn()
    model.now += timedelta(minutes=40)
    model.windows(10, {A: "image"})  # a quarter of the pause
    assert model.phase() is Phase.OK
    model.windows(3, {A: "image"})
    assert model.phase() is Phase.DRIFT


def test_nothing_is_learned_while_the_line_runs_in() -> None:
    model = PlantedModel(settings=SETTINGS.model_copy(update={"settle_minutes": 45.0}))
    model.serve(1)
    model.windows(5)
    model.now += timedelta(minutes=40)
    model.windows(12)
    assert model.state.cameras[A].commissioning.seen == 7


def test_a_short_gap_is_no_pause() -> None:
    model = PlantedModel(settings=SETTINGS.model_copy(update={"settle_minutes": 45.0}))
    model.learn()
    model.now += timedelta(minutes=5)
    model.windows(3, {A: "image"})
    assert model.phase() is Phase.DRIFT


def with_roll_ups() -> PlantedModel:
    """Two cameras whose profiles are of a thousand windows, so that roll-ups are judged."""
    model = PlantedModel()
    model.serve(1)
    model.windows(1)
    cameras = {}
    for name, camera in model.state.cameras.items():
        windows = [model.window(name, model.now, None, 0.0, 1).window for _ in range(1_000)]
        means = np.array([window.vector_sum for window in windows]) / IMAGES
        learned = Commissioning(key=camera.key).add_all(NAMES, means, np.full(len(NAMES), 0.0025), IMAGES)
        cameras[name] = camera.model_copy(update={"profile": learned.profile(), "phase": Phase.OK})
    model.state = model.state.model_copy(update={"cameras": cameras})
    return model


def test_a_small_shift_that_lasts_is_a_drift_by_ten_minute_means_and_is_diagnosed_by_them() -> None:
    model = with_roll_ups()
    model.windows(31, {A: "image"}, size=1.3)
    changes = [change.reason for change in model.all_of(PhaseChanged) if change.after is Phase.DRIFT]
    assert [reason.code for reason in changes] == ["slow-drift"]
    assert model.phase() is Phase.SENSOR
    assert model.phase(B) is Phase.OK


def test_a_slow_drift_lasts_until_ten_minute_means_are_back_in_control() -> None:
    model = with_roll_ups()
    model.windows(31, {A: "image"}, size=1.3)
    model.windows(20, {A: "image"}, size=1.3)
    assert model.phase() is Phase.SENSOR
    model.windows(25)
    assert model.phase() is Phase.OK
