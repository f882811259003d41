"""A camera without a neighbour may be ill itself: labels alone order no retrain on its pictures."""

import pytest

from monitor.rules.action import AskPerson, CloseIncident, CloseTicket, HoldRetrain, Kind, OrderRetrain, Phase
from monitor.rules.incident import answers
from monitor.rules.settings import RuleSettings
from tests.monitor.rules.test_diagnosis import image_and_embedding
from tests.simulators.planted_model import SETTINGS, A, PlantedModel


def in_doubt(settings: RuleSettings = SETTINGS) -> PlantedModel:
    """One camera alone, its picture and its embedding moved; labels prove harm, and are enough for a retrain."""
    model = PlantedModel((A,), settings)
    model.learn()
    for _ in range(5):
        model.happen(image_and_embedding(model))
    assert model.incident.doubtful == (A,)
    model.labels(200, A, error=0.6)
    return model


def test_a_doubtful_camera_holds_the_retrain_and_a_person_is_asked() -> None:
    model = in_doubt()
    assert model.phase() is Phase.HARMFUL
    assert not model.all_of(OrderRetrain)
    assert [held.reason.code for held in model.all_of(HoldRetrain)].count("governor-doubt") == 1
    assert model.all_of(AskPerson)[-1].reason.code == "governor-doubt"
    assert {"repaired", "permanent", "retrain"} <= set(answers(model.incident))


def test_it_says_so_again_each_day() -> None:
    model = in_doubt()
    asked = len(model.all_of(AskPerson))
    for _ in range(2):
        model.wait(hours=model.settings.person_hours + 1)
    assert len(model.all_of(AskPerson)) == asked + 2
    assert not model.all_of(OrderRetrain)


def test_the_new_state_is_permanent_so_the_retrain_goes() -> None:
    model = in_doubt()
    model.say("permanent")
    assert model.all_of(CloseTicket)[-1].reason.code == "permanent"
    assert model.phase() is Phase.RETRAIN


def test_retrain_now_does_not_wait_for_a_look() -> None:
    model = in_doubt()
    model.say("retrain")
    assert model.phase() is Phase.RETRAIN


def test_a_retrain_under_way_is_not_taken_back_by_a_word_on_the_camera() -> None:
    model = in_doubt()
    model.say("retrain")
    assert not {"repaired", "permanent"} & set(answers(model.incident))
    model.say("repaired")
    assert (model.phase(), model.incident.cameras) == (Phase.RETRAIN, {A: Kind.PRODUCT})


def test_a_repaired_camera_was_ill_and_its_labels_order_nothing() -> None:
    model = in_doubt()
    model.say("repaired")
    assert model.incident.cameras == {A: Kind.SENSOR}
    assert model.incident.evidence.labels == 0
    model.windows(40)
    assert model.all_of(CloseIncident)[-1].reason.code == "repaired"
    assert model.phase(A) is Phase.OK
    assert not model.all_of(OrderRetrain)


def test_a_repair_that_does_not_help_leaves_the_camera_ill() -> None:
    model = in_doubt()
    model.say("repaired")
    for _ in range(10):
        model.happen(image_and_embedding(model))
    model.labels(200, A, error=0.6)
    assert model.phase(A) is Phase.SENSOR
    assert not model.all_of(OrderRetrain)


@pytest.mark.parametrize("waits", [True, False])
def test_settings_say_whether_it_waits(waits: bool) -> None:
    model = in_doubt(SETTINGS.model_copy(update={"retrain_in_doubt": not waits}))
    assert bool(model.all_of(OrderRetrain)) is not waits
