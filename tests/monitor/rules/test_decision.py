"""One camera from its first window to its drift."""

from datetime import timedelta

from monitor.rules.action import OpenIncident, Phase, PhaseChanged
from tests.simulators.planted_model import SETTINGS, A, B, PlantedModel, bundle_hash


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
