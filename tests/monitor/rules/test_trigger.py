"""Retrains that no incident wants: on schedule, on new data, on a fallen accuracy, by hand; and what holds them."""

from __future__ import annotations

from datetime import time
from typing import Any

import pytest

from contracts.frame import OutcomeSource
from monitor.rules.action import AskForLabels, HoldLabels, HoldRetrain, OrderRetrain
from monitor.rules.governor import Jobs
from monitor.rules.happening import RetrainAsked, Tick
from monitor.rules.model import step
from monitor.rules.settings import MaintenanceWindow
from monitor.rules.trigger import certified_error
from tests.simulators.planted_model import SETTINGS, A, B, PlantedModel, facts


def served(**settings: Any) -> PlantedModel:
    """A model that serves, without cameras that drift."""
    model = PlantedModel(settings=SETTINGS.model_copy(update={"retrain_labels": 50, **settings}))
    model.serve(1)
    return model


def asked(model: PlantedModel) -> list[Any]:
    return model.happen(RetrainAsked(at=model.now, who="engineer-2", why="new light"))


def test_nothing_is_retrained_without_a_trigger() -> None:
    model = served()
    model.labels(200, source=OutcomeSource.AUDIT)
    for _ in range(40):
        model.wait(hours=24)
    assert not model.all_of(OrderRetrain)
    assert not model.all_of(HoldRetrain)


def test_on_schedule_with_enough_labels_and_then_not_before_the_next() -> None:
    model = served(retrain_days=30)
    model.labels(60, source=OutcomeSource.AUDIT)
    model.wait(hours=24 * 29)
    assert not model.all_of(OrderRetrain)
    model.wait(hours=25)
    (order,) = model.all_of(OrderRetrain)
    assert order.incident_id is None
    assert order.reason.code == "trigger-schedule"
    model.labels(60, source=OutcomeSource.AUDIT)
    model.wait(hours=24 * 29)
    assert len(model.all_of(OrderRetrain)) == 1
    model.wait(hours=25)
    assert len(model.all_of(OrderRetrain)) == 2


def test_a_schedule_without_labels_is_refused_with_its_reason_once() -> None:
    model = served(retrain_days=30)
    for _ in range(4):
        model.wait(hours=24 * 30)
    (held,) = model.all_of(HoldRetrain)
    assert held.reason.plain == ("on schedule: the last training was 30 days ago; not now: too few new labels: 0 of 50")
    assert not model.all_of(OrderRetrain)


def test_no_schedule_learns_from_a_dirty_lens() -> None:
    model = PlantedModel(settings=SETTINGS.model_copy(update={"retrain_on_labels": 60, "retrain_labels": 50}))
    model.learn()
    model.windows(5, {A: "image"})
    model.labels(80, A, source=OutcomeSource.AUDIT)
    assert not model.all_of(OrderRetrain)
    assert [held.reason.plain[-46:] for held in model.all_of(HoldRetrain)] == [
        "an incident is open, which goes first: plant.cap.1"[-46:]
    ]
    model.say("repaired")
    model.windows(4)
    assert model.state.incident is None
    assert [order.reason.code for order in model.all_of(OrderRetrain)] == ["trigger-new-data"]


def test_on_new_data_and_operators_words_without_a_picture_are_no_data() -> None:
    model = served(retrain_on_labels=80)
    model.labels(39, source=OutcomeSource.ATYPICAL)
    model.labels(20, source=OutcomeSource.UNSURE)
    model.labels(20, source=OutcomeSource.OVERRULED)
    model.labels(10, source=OutcomeSource.OPERATOR)
    assert not model.all_of(OrderRetrain)
    model.labels(1, source=OutcomeSource.AUDIT)
    assert [order.reason.code for order in model.all_of(OrderRetrain)] == ["trigger-new-data"]


def test_a_fallen_accuracy_is_found_and_a_certified_one_is_not() -> None:
    steady, fallen = (served(accuracy_drop=0.05, probation_days=0) for _ in range(2))
    steady.labels(400, source=OutcomeSource.AUDIT, error=0.02)
    fallen.labels(400, source=OutcomeSource.AUDIT, error=0.2)
    assert not steady.all_of(OrderRetrain)
    assert "trigger-accuracy" in [order.reason.code for order in fallen.all_of(OrderRetrain)]


def test_the_certified_error_is_that_of_a_side() -> None:
    release = facts(1, PlantedModel().now)
    assert certified_error(release, "good") == pytest.approx(2 / 70)
    assert certified_error(release, "defect") == pytest.approx(1 / 30)
    assert certified_error(release.model_copy(update={"confusion": {}}), "good") is None


def test_a_person_waits_for_no_evidence_and_no_cool_down() -> None:
    model = served()
    for _ in range(4):
        assert [type(action) for action in asked(model)] == [OrderRetrain]
        model.wait(hours=1)


@pytest.mark.parametrize(
    ("jobs", "settings", "code"),
    [
        (Jobs(here=1), {}, "governor-running"),
        (Jobs(everywhere=2), {}, "governor-cap"),
        (Jobs(hours_this_week=9.0), {"compute_hours_a_week": 8.0}, "governor-compute"),
        (Jobs(), {"maintenance": (MaintenanceWindow(from_=time(0), to=time(23, 59, 59)),)}, "governor-maintenance"),
    ],
)
def test_what_runs_costs_or_is_forbidden_holds_even_a_person(jobs: Jobs, settings: dict[str, Any], code: str) -> None:
    model = served(**settings)
    _, actions = step(model.state, RetrainAsked(at=model.now, who="x", why="y"), model.settings, jobs=jobs)
    (held,) = actions
    assert isinstance(held, HoldRetrain)
    assert held.reason.code == "trigger-held"
    expected = {"governor-running": "is running", "governor-cap": "allowed", "governor-compute": "seven days"}
    assert expected.get(code, "maintenance") in held.reason.plain


def test_nothing_can_be_retrained_before_something_is_served() -> None:
    (held,) = asked(PlantedModel())
    assert held.reason.code == "governor-no-release"


def test_a_person_does_not_start_a_second_retrain_beside_the_first() -> None:
    model = PlantedModel()
    model.learn()
    model.windows(6, {A: "embedding", B: "embedding"})
    model.labels(60, A, error=0.6)
    from monitor.rules.happening import PersonSaid

    said = PersonSaid(at=model.now, incident_id=model.incident.incident_id, said="retrain", who="x")
    _, actions = step(model.state, said, model.settings, jobs=Jobs(here=1))
    assert not any(isinstance(action, OrderRetrain) for action in actions)
    assert "governor-running" in [action.reason.code for action in actions if isinstance(action, HoldRetrain)]


def test_the_weeks_label_budget_cuts_what_people_are_asked_and_says_so() -> None:
    model = PlantedModel(settings=SETTINGS.model_copy(update={"labels_a_week": 120}))
    model.learn()
    model.windows(6, {A: "embedding", B: "embedding"})
    asks = model.all_of(AskForLabels)
    assert sum(ask.total for ask in asks) == 120
    assert asks[0].random == 120
    assert model.all_of(HoldLabels)[-1].reason.parameters["budget"] == 120
    model.happen(Tick(at=model.now))
    assert len(model.all_of(AskForLabels)) == len(asks)
