"""No incident waits for ever: every phase has a way out, and time alone brings a person or the next phase."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from monitor.rules.action import AskPerson, CloseIncident, OrderRetrain, Phase
from tests.simulators.planted_model import A, B, Moved, PlantedModel

BOTH: dict[str, Moved] = {A: "embedding", B: "embedding"}


def watching() -> PlantedModel:
    model = PlantedModel()
    model.learn()
    return model


def suspect() -> PlantedModel:
    model = watching()
    model.windows(1, {A: "embedding"})
    return model


def drift() -> PlantedModel:
    model = watching()
    model.windows(3, {A: "embedding"})
    return model


def sensor() -> PlantedModel:
    model = watching()
    model.windows(5, {A: "image"})
    return model


def prior() -> PlantedModel:
    model = watching()
    model.windows(6, {A: "class", B: "class"}, size=30.0)
    return model


def product() -> PlantedModel:
    model = watching()
    model.windows(6, BOTH)
    return model


def harmful() -> PlantedModel:
    model = product()
    model.labels(60, A, error=0.6)
    return model


def harmless() -> PlantedModel:
    model = product()
    model.labels(200, A)
    return model


def retrain() -> PlantedModel:
    model = harmful()
    model.labels(140, B, error=0.6)
    return model


def shadow() -> PlantedModel:
    model = retrain()
    model.candidate("shadow")
    return model


LED_BY_AN_INCIDENT: dict[Phase, Callable[[], PlantedModel]] = {
    Phase.SENSOR: sensor,
    Phase.PRIOR: prior,
    Phase.LABELS: product,
    Phase.HARMFUL: harmful,
    Phase.HARMLESS: harmless,
    Phase.RETRAIN: retrain,
    Phase.SHADOW: shadow,
}
LED_BY_WINDOWS = {Phase.LEARNING: PlantedModel, Phase.OK: watching, Phase.SUSPECT: suspect, Phase.DRIFT: drift}
PASSED_THROUGH = {Phase.DIAGNOSE, Phase.PRODUCT}  # within one step
ENDED = {Phase.CLOSED}


def test_every_phase_is_looked_at_here() -> None:
    assert {*LED_BY_AN_INCIDENT, *LED_BY_WINDOWS, *PASSED_THROUGH, *ENDED} == set(Phase)


@pytest.mark.parametrize("phase", LED_BY_AN_INCIDENT)
def test_time_alone_brings_a_person_and_brings_one_again(phase: Phase) -> None:
    model = LED_BY_AN_INCIDENT[phase]()
    assert model.incident.phase is phase
    for _ in range(2):
        before = len(model.all_of(AskPerson))
        for _ in range(26):
            model.wait(hours=1)
        if model.incident.phase is phase:
            assert len(model.all_of(AskPerson)) == before + 1
            assert "hours" in model.all_of(AskPerson)[-1].reason.parameters


@pytest.mark.parametrize("phase", LED_BY_AN_INCIDENT)
def test_a_person_can_end_it_in_every_phase(phase: Phase) -> None:
    model = LED_BY_AN_INCIDENT[phase]()
    model.say("close")
    assert model.all_of(CloseIncident)
    assert model.state.incident is None
    assert model.phase() in (Phase.OK, Phase.LEARNING)


@pytest.mark.parametrize("phase", [Phase.RETRAIN, Phase.SHADOW])
def test_a_job_that_says_nothing_is_given_up_by_time_alone(phase: Phase) -> None:
    model = LED_BY_AN_INCIDENT[phase]()
    for _ in range(80):
        model.wait(hours=1)
        if model.incident.phase is not phase:
            break
    assert model.incident.phase is Phase.HARMFUL


@pytest.mark.parametrize("phase", LED_BY_WINDOWS)
def test_windows_lead_a_watching_camera_on(phase: Phase) -> None:
    model = LED_BY_WINDOWS[phase]()
    if phase is Phase.LEARNING:
        model.serve(1)
        model.windows(2)
    assert model.phase() is phase
    drifting = {} if phase in (Phase.LEARNING, Phase.SUSPECT) else BOTH
    for _ in range(model.settings.commissioning_windows):
        model.windows(1, drifting)
        if model.phase() is not phase:
            return
    pytest.fail(f"still {phase}")


def test_a_drift_whose_camera_falls_silent_becomes_an_incident_by_time_alone() -> None:
    model = drift()
    assert model.state.incident is None
    model.wait(hours=1)
    assert model.phase() is Phase.DRIFT
    model.wait(hours=1.1)
    assert model.incident.cameras
    assert model.phase() not in (Phase.DRIFT, Phase.OK)


def test_a_camera_that_stays_on_another_bundle_does_not_drift_for_ever() -> None:
    model = watching()
    model.windows(19, bundle=7)  # it is taken to stay there, and learns anew
    model.windows(model.settings.commissioning_windows + 2, bundle=7)
    model.windows(4, BOTH, bundle=7)
    assert (model.phase(), model.state.incident) == (Phase.DRIFT, None)
    model.wait(hours=3)
    assert model.phase() is Phase.OK
    assert not model.all_of(OrderRetrain)
