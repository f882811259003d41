"""Windows that come late: judged at their own time, and nothing of what is now changes by them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from contracts.frame import Decision, OutcomeSource
from monitor.rules.action import Action, OpenIncident, PastDrift, Phase, PhaseChanged, Withdraw
from monitor.rules.happening import LabelSeen, WindowSeen
from tests.monitor.rules.test_decision import with_roll_ups
from tests.simulators.planted_model import A, Moved, PlantedModel, bundle_hash

AWAY = timedelta(hours=6)


@pytest.fixture
def model() -> PlantedModel:
    """Back after six hours: new windows have been judged, those of the hours before are still to come."""
    model = PlantedModel()
    model.learn()
    model.now += AWAY
    model.windows(3)
    return model


def late(
    model: PlantedModel, since: datetime, count: int, moved: Moved | None = None, size: float = 8.0
) -> list[Action]:
    """Windows of camera A, a minute each from that moment on, which come now."""
    found, present = [], model.now
    for number in range(count):
        model.now = since + timedelta(minutes=number + 1)
        window = model.window(A, since + timedelta(minutes=number), moved, size, model.served)
        found += model.happen(window.model_copy(update={"late": True}))
    model.now = present
    return found


def hours_ago(model: PlantedModel, hours: float) -> datetime:
    return model.now - timedelta(hours=hours)


def test_a_drift_that_came_and_went_while_the_station_was_away_is_recorded_and_opens_nothing(
    model: PlantedModel,
) -> None:
    before = model.state.cameras[A]
    assert [type(action) for action in late(model, hours_ago(model, 5), 10, "image")] == [PastDrift]
    after = model.state.cameras[A]
    kept = {name: value for name, value in after if not name.startswith("late_")}
    assert kept == {name: value for name, value in before if not name.startswith("late_")}
    assert model.state.incident is None
    late(model, hours_ago(model, 3), 5)
    late(model, hours_ago(model, 2), 5, "image")
    assert len(model.all_of(PastDrift)) == 2, "one for each time that it drifted"
    assert model.all_of(PastDrift)[0].reason.plain.startswith("while the station was away, 3 of 3 windows")


@pytest.fixture
def long_known() -> PlantedModel:
    """The same, of cameras that know their means over ten windows."""
    model = with_roll_ups()
    model.now += AWAY
    model.windows(3)
    return model


def test_a_slow_drift_that_single_windows_do_not_show_is_recorded_once(long_known: PlantedModel) -> None:
    model = long_known
    late(model, hours_ago(model, 5), 50, "image", size=1.3)
    (drift,) = model.all_of(PastDrift)
    assert drift.reason.code == "past-slow-drift"
    assert model.state.incident is None


def test_a_drift_that_single_windows_show_is_not_told_a_second_time(long_known: PlantedModel) -> None:
    model = long_known
    late(model, hours_ago(model, 5), 25, "image")
    late(model, hours_ago(model, 4), 60)
    assert [drift.reason.code for drift in model.all_of(PastDrift)] == ["past-drift"]


def test_a_drift_that_is_still_there_is_found_by_new_windows_whatever_comes_late(model: PlantedModel) -> None:
    for number in range(5):
        late(model, hours_ago(model, 5 - number), 3)
        model.windows(1, {A: "image"})
    assert model.all_of(OpenIncident)


def test_a_window_of_the_past_that_is_handed_in_twice_changes_nothing(model: PlantedModel) -> None:
    since = hours_ago(model, 5)
    late(model, since, 4, "image")
    before = model.state
    assert late(model, since, 4, "image") == []
    assert model.state == before


def test_a_camera_that_learns_does_not_learn_from_the_past(model: PlantedModel) -> None:
    model.serve(2)
    model.windows(1)
    seen = model.state.cameras[A].commissioning.seen
    late(model, hours_ago(model, 5), 50)
    assert model.state.cameras[A].commissioning.seen == seen
    assert model.phase() is Phase.LEARNING


def test_windows_that_come_late_in_their_order_are_judged_as_ever() -> None:
    """After a restart that took a moment: what is left of the boot before comes late, and nothing came before it."""
    model = PlantedModel()
    model.learn()
    assert any(isinstance(action, PhaseChanged) for action in late(model, model.now, 5, "image"))
    assert model.phase() is not Phase.OK
    assert not model.all_of(PastDrift)


def overruled(model: PlantedModel, count: int, at: datetime) -> None:
    """Operators overruled verdicts then; it is told late."""
    for number in range(count):
        model.happen(
            LabelSeen(
                at=model.now,
                camera=A,
                part_id=f"overruled-{at}-{number}",
                label="pit",
                source=OutcomeSource.OPERATOR,
                decision=Decision.OK,
                bundle_hash=bundle_hash(model.served),
                triggered_at=at,
                late=True,
            )
        )


def test_late_overrides_stand_against_a_release_only_beside_the_parts_of_their_windows(model: PlantedModel) -> None:
    model.serve(2)
    model.now += AWAY
    model.windows(1)
    overruled(model, 300, hours_ago(model, 5))
    model.windows(1)
    assert not model.all_of(Withdraw), "new windows say nothing of those parts"
    late(model, hours_ago(model, 5.1), 10)
    model.windows(1)
    assert model.all_of(Withdraw)[0].reason.code == "harm-overrides"


def test_a_release_is_judged_by_the_present_and_not_by_the_time_of_a_late_window(model: PlantedModel) -> None:
    """Its probation is over, though it was not when the late windows were made."""
    model.serve(2)
    served = model.now
    model.now += timedelta(days=model.settings.probation_days + 1)
    model.windows(1)
    overruled(model, 300, served + timedelta(hours=1))
    late(model, served + timedelta(hours=1), 10)
    model.windows(1)
    assert not model.all_of(Withdraw)
    assert model.all_of(OpenIncident)


def test_a_window_older_than_the_last_one_that_is_not_late_is_passed_over(model: PlantedModel) -> None:
    before = model.state
    since, present = hours_ago(model, 5), model.now
    model.now = since + timedelta(minutes=1)
    window: WindowSeen = model.window(A, since, "image", 8.0, model.served)
    model.now = present
    assert model.happen(window) == []
    assert model.state == before
