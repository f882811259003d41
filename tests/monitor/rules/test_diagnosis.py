"""What a drift is taken for, and what people are told."""

from datetime import timedelta

import numpy as np
import pytest

from monitor.rules.action import Kind, OpenIncident, OpenTicket, Phase, QualityAlert, Symptom
from monitor.rules.happening import WindowSeen
from monitor.rules.symptom import symptoms_of
from tests.simulators.planted_model import A, B, Moved, PlantedModel


def drifted(cameras: tuple[str, ...], drift: dict[str, Moved], windows: int = 4, size: float = 8.0) -> PlantedModel:
    model = PlantedModel(cameras)
    model.learn()
    model.windows(windows, drift, size=size)
    return model


def test_one_camera_while_its_sibling_is_quiet_is_the_sensor() -> None:
    model = drifted((A, B), {A: "image"})
    assert model.incident.diagnosis is Kind.SENSOR
    assert model.phase(A) is Phase.SENSOR
    assert model.phase(B) is Phase.OK
    (ticket,) = model.all_of(OpenTicket)
    assert ticket.camera == A
    assert ticket.reason.code == "diagnosis-sensor-siblings"


def test_one_camera_whose_pictures_do_not_say_how_is_still_the_sensor_while_its_sibling_is_quiet() -> None:
    model = drifted((A, B), {A: "embedding"})
    assert model.incident.diagnosis is Kind.SENSOR
    assert model.all_of(OpenTicket)[0].reason.code == "diagnosis-sensor-unclear"


@pytest.mark.parametrize("moved", ["image", "embedding"])
def test_siblings_that_drift_together_are_the_product_without_a_ticket(moved: Moved) -> None:
    model = drifted((A, B), {A: moved, B: moved}, windows=5)
    assert model.incident.cameras == {A: Kind.PRODUCT, B: Kind.PRODUCT}
    assert model.phase(A) is model.phase(B) is Phase.LABELS
    assert not model.all_of(OpenTicket)


def test_a_sibling_that_moves_less_than_its_own_limit_counts_as_moving() -> None:
    model = PlantedModel()
    model.learn()
    for _ in range(4):
        model.windows(1, {A: "embedding", B: "embedding"}, size=5.0)
    assert all(kind is Kind.PRODUCT for kind in model.incident.cameras.values())


def test_a_single_odd_window_of_the_sibling_does_not_make_dirt_a_product() -> None:
    model = PlantedModel()
    model.learn()
    model.windows(2, {A: "image"})
    model.windows(1, {A: "image", B: "image"})
    model.windows(2, {A: "image"})
    assert model.incident.diagnosis is Kind.SENSOR


def test_answers_that_explain_all_the_rest_are_a_new_mix() -> None:
    model = drifted((A, B), {A: "class", B: "class"}, windows=5, size=30.0)
    assert model.incident.diagnosis is Kind.PRIOR
    alert = model.all_of(QualityAlert)[0]
    assert alert.shares is not None
    assert alert.shares["good"] == pytest.approx(0.45, abs=0.05)


def test_a_camera_without_siblings_is_in_doubt_and_gets_ticket_and_labels_asked_for() -> None:
    model = PlantedModel((A,))
    model.learn()
    for _ in range(5):
        model.happen(image_and_embedding(model))
    assert model.incident.diagnosis is Kind.PRODUCT
    assert model.phase(A) is Phase.LABELS
    assert model.all_of(OpenTicket)[0].reason.code == "diagnosis-doubt"


def test_a_camera_without_siblings_whose_pictures_explain_everything_is_the_sensor() -> None:
    model = drifted((A,), {A: "image"})
    assert model.incident.diagnosis is Kind.SENSOR


def test_a_camera_without_siblings_whose_pictures_stay_sees_another_product() -> None:
    model = drifted((A,), {A: "embedding"})
    assert model.incident.diagnosis is Kind.PRODUCT
    assert not model.all_of(OpenTicket)


def test_a_camera_of_another_line_is_no_witness() -> None:
    model = PlantedModel((A, B))
    model.serve(1)
    other = {A: "line-1", B: "line-2"}
    for number in range(45):
        start, model.now = model.now, model.now + timedelta(minutes=1)
        for camera in model.cameras:
            moved: Moved | None = "embedding" if camera == A and number >= 40 else None
            seen = model.window(camera, start, moved, 8.0, 1)
            model.happen(seen.model_copy(update={"line": other[camera]}))
    assert model.incident.diagnosis is Kind.PRODUCT


def test_a_silent_sibling_is_waited_for_and_then_given_up() -> None:
    model = PlantedModel()
    model.learn()
    model.cameras = (A,)
    model.windows(6, {A: "embedding"})
    assert model.phase(A) is Phase.DRIFT
    model.windows(1, {A: "embedding"})
    assert model.incident.diagnosis is Kind.PRODUCT


def test_a_sibling_that_follows_within_minutes_turns_sensor_into_product_and_closes_the_ticket() -> None:
    model = PlantedModel()
    model.learn()
    model.windows(4, {A: "embedding"})
    assert model.incident.diagnosis is Kind.SENSOR
    model.windows(5, {A: "embedding", B: "embedding"})
    assert model.incident.cameras == {A: Kind.PRODUCT, B: Kind.PRODUCT}
    assert model.incident.tickets == ()
    assert len(model.all_of(OpenIncident)) == 1


def test_a_camera_ill_for_days_does_not_make_the_next_ones_dirt_a_product() -> None:
    model = PlantedModel()
    model.learn()
    model.windows(60, {A: "image"})
    model.windows(8, {A: "image", B: "image"})
    assert model.incident.cameras == {A: Kind.SENSOR, B: Kind.SENSOR}


def image_and_embedding(model: PlantedModel) -> WindowSeen:
    """A window in which both the picture and the embedding moved."""
    start, model.now = model.now, model.now + timedelta(minutes=1)
    image = model.window(A, start, "image", 8.0, 1)
    embedding = model.window(A, start, "embedding", 8.0, 1)
    plain = model.window(A, start, None, 0.0, 1)
    total = (
        np.array(image.window.vector_sum) + np.array(embedding.window.vector_sum) - np.array(plain.window.vector_sum)
    )
    return image.model_copy(update={"window": image.window.model_copy(update={"vector_sum": tuple(total)})})


SURE = dict.fromkeys(("mean", "contrast", "sharpness", "evenness", "focus-evenness"), 10.0)


@pytest.mark.parametrize(
    ("changes", "symptoms"),
    [
        # measured on the simulated line: (light, contrast, sharpness, evenness / 0.42, focus-evenness / 0.31)
        ((-0.345, -0.344, -0.274, -0.031, -0.084), (Symptom.DARKER,)),
        ((0.271, 0.266, 0.202, 0.019, 0.006), (Symptom.BRIGHTER,)),
        ((-0.005, -0.028, -0.333, 0.010, 0.18), (Symptom.BLURRED,)),
        ((-0.012, -0.079, -0.552, 0.003, -0.05), (Symptom.BLURRED,)),
        ((0.162, -0.177, -0.393, -0.24, -0.08), (Symptom.HAZE,)),
        ((0.261, -0.347, -0.695, -0.39, -0.27), (Symptom.HAZE,)),
        ((-0.013, -0.077, -0.216, -0.0165, 0.04), (Symptom.DIRT, Symptom.BLURRED)),
        ((0.023, -0.143, -0.316, -0.15, -0.11), (Symptom.DIRT, Symptom.BLURRED)),
        ((-0.009, -0.010, 0.111, -0.012, 0.06), (Symptom.DIRT,)),
        ((0.0, 0.01, 0.3, 0.0, -0.1), (Symptom.NOISIER,)),
        ((0.0, 0.0, 0.0, 0.0, 0.0), (Symptom.UNCLEAR,)),
    ],
)
def test_symptoms_name_what_a_person_would_see(changes: tuple[float, ...], symptoms: tuple[Symptom, ...]) -> None:
    assert symptoms_of(SURE, dict(zip(SURE, changes, strict=True))) == symptoms


def test_changes_that_are_not_sure_are_no_symptoms() -> None:
    assert symptoms_of({"mean": 2.0}, {"mean": -0.5}) == (Symptom.UNCLEAR,)
