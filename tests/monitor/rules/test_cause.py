"""A release that knows what camera faults do to its pictures tells a camera alone from its parts."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from contracts.signatures import Signature, Signatures
from drift.vector import group_of
from monitor.rules.action import CloseTicket, Kind, OpenIncident, OpenTicket, OrderRetrain, Phase, QualityAlert, Symptom
from monitor.rules.happening import WindowSeen
from tests.simulators.planted_model import NAMES, A, B, Moved, PlantedModel
from tests.simulators.signatures import planted_signatures

SIGMA = 0.01  # of the planted windows; single images have five times as much


def moved(group: str) -> np.ndarray:
    """What the planted model moves, in standard deviations of its windows."""
    signs = np.where(np.array(NAMES) == "mean", -1.0, 1.0)
    return np.array([group_of(name) == group for name in NAMES]) * signs


def signatures(family: str = "light", group: str = "image", towards: str = "embedding") -> Signatures:
    """One fault that moves a group of entries, and classes that differ in another."""
    away = tuple(SIGMA * 30.0 * moved(towards))
    return Signatures(
        images=40,
        scale=(5 * SIGMA,) * len(NAMES),
        faults=(
            Signature(family=family, points=tuple(tuple(SIGMA * each * moved(group)) for each in (3.0, 9.0, 15.0))),
        ),
        spreads={family: (SIGMA**2,) * len(NAMES)},
        classes={"good": (0.0,) * len(NAMES), "pit": away},
        shares={"good": 0.7, "pit": 0.3},
        within=tuple((0.0,) * place + ((5 * SIGMA) ** 2,) for place in range(len(NAMES))),
    )


def drifted(
    cameras: tuple[str, ...], drift: dict[str, Moved], known: Signatures | None, *, windows: int = 5
) -> PlantedModel:
    model = PlantedModel(cameras)
    model.serve(1, signatures=known)
    model.windows(model.settings.commissioning_windows)
    model.windows(windows, drift, size=8.0)
    return model


@pytest.mark.parametrize(
    ("family", "group", "symptom"),
    [
        ("light", "image", Symptom.DARKER),
        ("focus", "embedding", Symptom.BLURRED),
        ("dirt", "embedding", Symptom.DIRT),
        ("setup", "embedding", Symptom.MOVED),
    ],
)
def test_a_camera_alone_whose_fault_was_foretold_is_the_sensor_and_its_ticket_says_which(
    family: str, group: Moved, symptom: Symptom
) -> None:
    model = drifted((A,), {A: group}, signatures(family, group, towards="class"))
    (ticket,) = model.all_of(OpenTicket)
    assert model.incident.diagnosis is Kind.SENSOR
    assert (ticket.reason.code, ticket.symptoms) == ("diagnosis-sensor-foretold", (symptom,))


def test_without_signatures_the_same_drift_is_taken_for_the_product() -> None:
    model = drifted((A,), {A: "embedding"}, None)
    assert model.all_of(OpenIncident)[0].reason.code == "diagnosis-product-embedding"


def test_what_no_fault_foretold_is_judged_as_without_signatures() -> None:
    known = signatures("light", "image", towards="class")
    assert drifted((A,), {A: "embedding"}, known).all_of(OpenIncident)[0].reason.code == "diagnosis-product-embedding"


@pytest.mark.parametrize("cameras", [(A,), (A, B)])
def test_parts_that_look_as_their_classes_always_did_are_another_mix(cameras: tuple[str, ...]) -> None:
    known = signatures("light", "image", towards="embedding")
    model = drifted(cameras, dict.fromkeys(cameras, "embedding"), known)
    assert model.incident.diagnosis is Kind.PRIOR
    assert model.all_of(OpenIncident)[0].reason.code == "diagnosis-prior-foretold"
    assert model.all_of(QualityAlert)


def test_a_mix_that_a_fault_foretold_nearly_as_well_is_in_doubt_on_a_camera_alone() -> None:
    known = signatures("dirt", "embedding", towards="embedding")
    alone = drifted((A,), {A: "embedding"}, known)
    (ticket,) = alone.all_of(OpenTicket)
    assert ticket.reason.code == "diagnosis-doubt"
    assert not alone.all_of(QualityAlert)


def test_cameras_that_moved_together_are_not_taken_for_one_camera_s_fault() -> None:
    known = signatures("dirt", "embedding", towards="image")
    model = drifted((A, B), {A: "embedding", B: "embedding"}, known)
    assert set(model.incident.cameras.values()) == {Kind.PRODUCT}


def test_a_quiet_sibling_says_so_and_the_signature_says_what() -> None:
    model = drifted((A, B), {A: "embedding"}, signatures("dirt", "embedding", towards="image"))
    (ticket,) = model.all_of(OpenTicket)
    assert (ticket.reason.code, ticket.symptoms) == ("diagnosis-sensor-siblings", (Symptom.DIRT,))


def test_a_wrong_word_on_the_camera_has_a_way_out_to_labels_and_a_retrain() -> None:
    model = drifted((A,), {A: "embedding"}, signatures("dirt", "embedding", towards="image"))
    model.labels(260, error=0.5)
    assert not model.all_of(OrderRetrain)
    model.say("permanent")
    model.labels(260, error=0.5)
    assert model.phase(A) is Phase.RETRAIN


def test_signatures_of_another_vector_explain_nothing() -> None:
    other = planted_signatures()
    assert drifted((A,), {A: "embedding"}, other).all_of(OpenIncident)[0].reason.code == "diagnosis-product-embedding"


def of_size(
    model: PlantedModel, size: tuple[int, int] | None, moved: Moved | None, count: int, camera: str = A
) -> None:
    for _ in range(count):
        start, model.now = model.now, model.now + timedelta(minutes=1)
        seen = model.window(camera, start, moved, 8.0, 1)
        window = seen.window.model_copy(update={"size": size})
        model.happen(WindowSeen(at=seen.at, camera=seen.camera, window=window))


def learned(*sizes: tuple[int, int] | None) -> PlantedModel:
    model = PlantedModel((A,))
    model.serve(1)
    for number in range(model.settings.commissioning_windows):
        of_size(model, sizes[number % len(sizes)], None, 1)
    return model


def test_pictures_of_another_size_are_another_set_up_at_once() -> None:
    model = learned((640, 480))
    of_size(model, (320, 480), "embedding", 3)
    (ticket,) = model.all_of(OpenTicket)
    assert model.incident.diagnosis is Kind.SENSOR
    assert ticket.symptoms == (Symptom.MOVED,)
    assert (
        ticket.reason.plain
        == "the pictures have 320 x 480 pixels instead of 640 x 480: the camera's set-up was changed"
    )


def test_a_new_crop_on_all_cameras_is_one_incident_with_a_ticket_for_each() -> None:
    model = PlantedModel((A, B))
    model.serve(1)
    for size, moved, count in (((640, 480), None, model.settings.commissioning_windows), ((320, 480), "embedding", 4)):
        for _ in range(count):
            for camera in (A, B):
                of_size(model, size, moved, 1, camera)
    assert len(model.all_of(OpenIncident)) == 1
    assert model.incident.cameras == {A: Kind.SENSOR, B: Kind.SENSOR}
    assert {ticket.camera for ticket in model.all_of(OpenTicket)} == {A, B}


def test_a_camera_that_is_to_be_looked_at_gets_another_ticket_once_when_it_is_set_up_anew() -> None:
    model = learned((640, 480))
    of_size(model, (640, 480), "image", 5)
    assert model.incident.diagnosis is Kind.SENSOR
    of_size(model, (320, 480), "image", 8)
    first, second = model.all_of(OpenTicket)
    assert (first.reason.code, second.reason.code) == ("diagnosis-sensor-image", "diagnosis-sensor-size")
    assert len(model.all_of(CloseTicket)) == 1
    assert (model.incident.diagnosis, model.incident.tickets) == (Kind.SENSOR, (A,))


@pytest.mark.parametrize("before", [((640, 480), (600, 480)), (None,), ((640, 480), None)])
def test_where_the_size_varies_or_is_not_told_it_says_nothing(before: tuple[tuple[int, int] | None, ...]) -> None:
    model = learned(*before)
    of_size(model, (320, 480), "embedding", 5)
    assert model.incident.diagnosis is Kind.PRODUCT


def test_a_size_that_changed_without_a_drift_is_the_usual_one_no_more() -> None:
    model = learned((640, 480))
    of_size(model, (320, 480), None, 2)
    of_size(model, (320, 480), "embedding", 5)
    assert model.incident.diagnosis is Kind.PRODUCT


def test_a_camera_of_an_open_incident_that_is_set_up_anew_is_the_product_s_no_more() -> None:
    model = learned((640, 480))
    of_size(model, (640, 480), "embedding", 5)
    assert model.incident.diagnosis is Kind.PRODUCT
    of_size(model, (320, 480), "embedding", 3)
    assert (model.incident.diagnosis, model.phase(A)) == (Kind.SENSOR, Phase.SENSOR)
    (ticket,) = model.all_of(OpenTicket)
    assert ticket.reason.code == "diagnosis-sensor-size"
    of_size(model, (320, 480), "embedding", 3)
    assert len(model.all_of(OpenTicket)) == 1
    model.labels(60, error=0.5)
    assert not model.all_of(OrderRetrain)
    model.say("permanent")
    of_size(model, (320, 480), "embedding", 5)
    assert (model.incident.diagnosis, model.phase(A)) == (Kind.PRODUCT, Phase.HARMFUL)
