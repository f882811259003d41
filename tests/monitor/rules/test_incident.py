"""One model's incidents from alarm to answer, step by step, through JSON each time."""

from datetime import timedelta

import pytest

from contracts.frame import OutcomeSource
from monitor.rules.action import (
    AskForLabels,
    AskPerson,
    ChangeIncident,
    CloseIncident,
    CloseTicket,
    HoldRetrain,
    Kind,
    OfferAdoption,
    OpenIncident,
    OpenTicket,
    OrderRetrain,
    Phase,
    VerdictsUnsafe,
)
from monitor.rules.happening import CandidateMoved, PersonSaid
from monitor.rules.incident import answers
from monitor.rules.reason import because
from tests.simulators.planted_model import SETTINGS, A, B, Moved, PlantedModel

BOTH: dict[str, Moved] = {A: "embedding", B: "embedding"}


@pytest.fixture
def drifting() -> PlantedModel:
    """Both cameras drift; labels are asked for."""
    model = PlantedModel()
    model.learn()
    model.windows(6, BOTH)
    assert model.phase() is Phase.LABELS
    return model


@pytest.fixture
def dirty() -> PlantedModel:
    """One camera is dirty; its ticket is open."""
    model = PlantedModel()
    model.learn()
    model.windows(5, {A: "image"})
    assert model.phase() is Phase.SENSOR
    return model


@pytest.fixture
def harmful(drifting: PlantedModel) -> PlantedModel:
    """Labels have proven harm, too few yet for a retrain."""
    drifting.labels(60, A, error=0.6)
    assert drifting.phase() is Phase.HARMFUL
    return drifting


@pytest.fixture
def ordered(harmful: PlantedModel) -> PlantedModel:
    """A retrain is ordered."""
    harmful.labels(140, B, error=0.6)
    assert harmful.phase() is Phase.RETRAIN
    return harmful


# the whole circle


def test_the_circle_closes_and_works_a_second_time(ordered: PlantedModel) -> None:
    for number in (2, 3):
        ordered.candidate("training", number)
        ordered.candidate("shadow", number)
        assert ordered.phase() is ordered.phase(B) is Phase.SHADOW
        ordered.candidate("promoted", number)
        ordered.serve(number)
        assert ordered.all_of(CloseIncident)[-1].resolution == "promoted"
        assert ordered.phase() is Phase.LEARNING
        ordered.windows(ordered.settings.commissioning_windows)
        assert ordered.phase() is Phase.OK
        if number == 3:
            break
        ordered.wait(hours=48)
        ordered.windows(6, BOTH)
        assert ordered.phase() is Phase.LABELS
        ordered.labels(200, A, error=0.6)
        assert ordered.phase() is Phase.RETRAIN
    assert len(ordered.all_of(OrderRetrain)) == 2
    assert ordered.state.incident is None


# merging


def test_alarms_of_both_cameras_are_one_incident(drifting: PlantedModel) -> None:
    assert len(drifting.all_of(OpenIncident)) == 1
    assert set(drifting.incident.cameras) == {A, B}


def test_an_alarm_soon_after_a_repair_reopens_the_incident_and_a_later_one_is_new(dirty: PlantedModel) -> None:
    first = dirty.incident.incident_id
    dirty.say("repaired")
    dirty.windows(3)
    dirty.windows(5, {A: "image"})
    assert dirty.incident.incident_id == first
    dirty.say("repaired")
    dirty.windows(40)
    dirty.windows(5, {A: "image"})
    assert dirty.incident.incident_id != first


def test_another_kind_of_alarm_soon_after_a_repair_is_another_incident(dirty: PlantedModel) -> None:
    first = dirty.incident.incident_id
    dirty.say("repaired")
    dirty.windows(3)
    dirty.windows(6, BOTH)
    assert dirty.incident.diagnosis is Kind.PRODUCT
    assert dirty.incident.incident_id != first


# SENSOR


def test_dirt_asks_for_no_labels_and_no_retrain_however_long_it_stays(dirty: PlantedModel) -> None:
    dirty.windows(100, {A: "image"})
    assert len(dirty.all_of(OpenTicket)) == 1
    assert not dirty.all_of(AskForLabels)
    assert not dirty.all_of(OrderRetrain)


def test_labels_may_prove_a_dirty_cameras_verdicts_unsafe_but_order_no_retrain(dirty: PlantedModel) -> None:
    dirty.labels(300, A, error=0.7, source=OutcomeSource.AUDIT)
    unsafe = dirty.all_of(VerdictsUnsafe)
    assert [one.cameras for one in unsafe] == [(A,)]
    dirty.wait(hours=100)
    assert dirty.phase() is Phase.SENSOR
    assert not dirty.all_of(OrderRetrain)


def test_repair_is_confirmed_by_quiet_windows_and_closes_the_ticket(dirty: PlantedModel) -> None:
    dirty.say("repaired")
    assert dirty.phase() is Phase.SENSOR
    dirty.windows(3)
    assert dirty.phase() is Phase.OK
    assert [ticket.camera for ticket in dirty.all_of(CloseTicket)] == [A]
    assert dirty.all_of(CloseIncident)[-1].resolution == "repaired"


def test_repair_that_did_not_help_is_not_confirmed_and_the_ticket_stays(dirty: PlantedModel) -> None:
    dirty.say("repaired")
    dirty.windows(5, {A: "image"})
    assert dirty.phase() is Phase.SENSOR
    assert not dirty.all_of(CloseTicket)
    assert "repair-not-confirmed" in [change.reason.code for change in dirty.all_of(ChangeIncident)]
    dirty.say("repaired")
    dirty.windows(4)
    assert dirty.phase() is Phase.OK


def test_dirt_that_somebody_wipes_off_without_a_word_closes_by_itself(dirty: PlantedModel) -> None:
    dirty.windows(dirty.settings.vanish_windows + 1)
    assert dirty.phase() is Phase.OK
    assert dirty.all_of(CloseIncident)[-1].resolution == "vanished"


def test_permanent_asks_for_labels_and_may_then_end_in_a_retrain(dirty: PlantedModel) -> None:
    dirty.say("permanent")
    assert dirty.phase() is Phase.LABELS
    assert [ticket.camera for ticket in dirty.all_of(CloseTicket)] == [A]
    assert sum(ask.random for ask in dirty.all_of(AskForLabels)) == 200
    dirty.labels(200, A, error=0.6)
    assert dirty.phase() is Phase.RETRAIN


def test_a_new_release_does_not_make_dirt_normal(dirty: PlantedModel) -> None:
    dirty.serve(2)
    dirty.windows(60, {A: "image"})
    assert dirty.phase(A) is Phase.SENSOR
    assert dirty.phase(B) is Phase.OK
    assert dirty.incident.tickets == (A,)
    dirty.say("repaired")
    assert dirty.phase(A) is Phase.LEARNING
    dirty.windows(dirty.settings.commissioning_windows)
    assert dirty.phase(A) is Phase.OK
    assert dirty.state.incident is None


# PRIOR


def test_a_new_mix_asks_for_no_labels_until_audits_prove_harm() -> None:
    model = PlantedModel()
    model.learn()
    model.windows(6, {A: "class", B: "class"}, size=30.0)
    assert model.phase() is Phase.PRIOR
    assert not model.all_of(AskForLabels)
    model.labels(60, A, error=0.7, source=OutcomeSource.AUDIT)
    assert model.phase() is Phase.HARMFUL
    assert model.all_of(AskForLabels)


def test_a_new_mix_may_be_adopted() -> None:
    model = PlantedModel()
    model.learn()
    model.windows(6, {A: "class", B: "class"}, size=30.0)
    model.say("adopt")
    assert model.phase() is model.phase(B) is Phase.LEARNING
    model.windows(60, {A: "class", B: "class"}, size=30.0)
    assert model.phase() is model.phase(B) is Phase.OK


# LABELS


def test_200_random_and_80_picked_images_are_asked_for_once_and_shared_by_the_cameras(drifting: PlantedModel) -> None:
    asked = drifting.all_of(AskForLabels)
    assert {ask.camera for ask in asked} <= {A, B}
    assert sum(ask.random for ask in asked) == 200
    picked = [(ask.atypical, ask.unsure, ask.overruled) for ask in asked]
    assert [sum(counts) for counts in zip(*picked, strict=True)] == [40, 20, 20]
    drifting.windows(50, BOTH)
    assert len(drifting.all_of(AskForLabels)) == len(asked)


def test_picked_images_prove_nothing_and_count_as_labels(drifting: PlantedModel) -> None:
    drifting.labels(20, A, error=1.0, source=OutcomeSource.UNSURE)
    drifting.labels(20, A, error=1.0, source=OutcomeSource.ATYPICAL)
    incident = drifting.incident
    assert incident is not None
    assert (incident.evidence.labels, incident.evidence.random, incident.evidence.wrong) == (40, 0, 0)


def test_what_an_operator_found_counts_once_though_a_rater_labels_its_picture_too(drifting: PlantedModel) -> None:
    drifting.labels(10, A, error=1.0, source=OutcomeSource.OPERATOR)
    drifting.labels(10, A, error=1.0, source=OutcomeSource.OVERRULED)
    assert drifting.incident is not None
    assert drifting.incident.evidence.labels == 10


def test_overruled_images_that_nobody_finds_hold_nothing_up() -> None:
    model = PlantedModel(settings=SETTINGS.model_copy(update={"overruled_labels": 1000}))
    model.learn()
    model.windows(6, BOTH)
    model.labels(190, A)
    assert model.incident is not None
    assert model.incident.asked == 260


def test_200_random_labels_without_proof_are_harmless_and_adoption_is_offered(drifting: PlantedModel) -> None:
    drifting.labels(200, A)
    assert drifting.phase() is Phase.HARMLESS
    (offer,) = drifting.all_of(OfferAdoption)
    assert offer.reason.parameters["high"] == pytest.approx(0.0183, abs=1e-3)
    drifting.say("adopt")
    assert drifting.phase() is drifting.phase(B) is Phase.LEARNING
    assert drifting.all_of(CloseIncident)[-1].resolution == "adopted"
    drifting.windows(60, BOTH)
    assert drifting.phase() is Phase.OK


def test_harmless_may_still_turn_out_harmful(drifting: PlantedModel) -> None:
    drifting.labels(200, A)
    drifting.labels(250, A, error=0.9, source=OutcomeSource.AUDIT)
    assert drifting.all_of(VerdictsUnsafe)
    assert drifting.all_of(OrderRetrain)


def test_labels_that_do_not_come_are_asked_for_again_and_in_the_end_a_person_is(drifting: PlantedModel) -> None:
    drifting.labels(50, A)
    for _ in range(30):
        drifting.wait(hours=50)
    assert sum(ask.random for ask in drifting.all_of(AskForLabels)) <= 5 * 200 + 60
    asked = [ask.reason.code for ask in drifting.all_of(AskPerson)]
    assert asked.count("labels-do-not-come") == 1
    assert "adopt" in answers(drifting.incident)


def test_a_drift_that_goes_away_before_the_labels_come_is_closed(drifting: PlantedModel) -> None:
    drifting.windows(drifting.settings.vanish_windows + 1)
    assert drifting.state.incident is None
    assert drifting.phase() is drifting.phase(B) is Phase.OK


def test_labels_of_parts_from_before_the_drift_do_not_count(drifting: PlantedModel) -> None:
    now = drifting.now
    drifting.now -= timedelta(hours=3)
    drifting.labels(100, A, error=0.9)
    drifting.now = now
    assert drifting.incident.evidence.labels == 0
    assert drifting.phase() is Phase.LABELS


# HARMFUL, RETRAIN, SHADOW


def test_harm_is_told_once_and_waits_for_enough_labels(harmful: PlantedModel) -> None:
    assert len(harmful.all_of(VerdictsUnsafe)) == 1
    harmful.labels(100, B, error=0.6)
    held = [(hold.reason.code, hold.reason.parameters.get("side")) for hold in harmful.all_of(HoldRetrain)]
    assert ("governor-few-labels", None) in held
    assert len(held) == len(set(held))
    assert not harmful.all_of(OrderRetrain)


def test_five_parts_of_an_unseen_class_are_harm(drifting: PlantedModel) -> None:
    drifting.labels(5, A, label="crack", source=OutcomeSource.ATYPICAL)
    assert drifting.phase() is Phase.HARMFUL


def test_too_few_defects_among_the_labels_are_asked_for(drifting: PlantedModel) -> None:
    drifting.labels(5, A, label="crack", source=OutcomeSource.ATYPICAL)
    before = sum(ask.random for ask in drifting.all_of(AskForLabels))
    drifting.labels(255, A, label="good")
    assert drifting.phase() is Phase.HARMFUL
    assert sum(ask.random for ask in drifting.all_of(AskForLabels)) > before
    drifting.labels(15, A, label="crack")
    assert drifting.phase() is Phase.RETRAIN


@pytest.mark.parametrize("stage", ["refused", "failed"])
def test_a_refused_or_failed_candidate_cools_down_collects_labels_and_is_tried_again(
    ordered: PlantedModel, stage: str
) -> None:
    ordered.candidate(stage)  # type: ignore[arg-type]
    assert ordered.phase() is Phase.HARMFUL
    codes = {hold.reason.code for hold in ordered.news_of(HoldRetrain)}
    assert codes == {"governor-nothing-new", "governor-cool-down"}
    ordered.labels(60, A, error=0.6)
    assert ordered.phase() is Phase.HARMFUL
    ordered.wait(hours=25)
    assert ordered.phase() is Phase.RETRAIN
    assert len(ordered.all_of(OrderRetrain)) == 2


@pytest.mark.parametrize(("stage", "hours"), [("training", 25), ("shadow", 73)])
def test_a_job_or_shadow_that_says_nothing_is_given_up(ordered: PlantedModel, stage: str, hours: float) -> None:
    ordered.candidate(stage)  # type: ignore[arg-type]
    ordered.wait(hours=hours)
    assert ordered.phase() is Phase.HARMFUL
    assert ordered.all_of(ChangeIncident)[-1].reason.code in {"job-silent", "shadow-silent"}


def test_a_candidate_that_comes_after_its_job_was_given_up_is_still_taken(ordered: PlantedModel) -> None:
    ordered.wait(hours=25)
    ordered.candidate("shadow", 5)
    assert ordered.phase() is Phase.SHADOW


def test_after_three_retrains_in_a_week_a_person_decides(ordered: PlantedModel) -> None:
    for _ in range(3):
        ordered.candidate("refused")
        ordered.labels(60, A, error=0.6)
        ordered.wait(hours=25)
    assert len(ordered.all_of(OrderRetrain)) == 3
    assert ordered.phase() is Phase.HARMFUL
    asked = [ask.reason.code for ask in ordered.all_of(AskPerson)]
    assert asked == ["governor-person", "waits-harmful"]
    ordered.wait(hours=10)
    assert len(ordered.all_of(AskPerson)) == 2
    ordered.say("retrain")
    assert ordered.phase() is Phase.RETRAIN
    assert ordered.all_of(OrderRetrain)[-1].reason.code == "retrain-by-person"


def test_news_handed_in_twice_changes_nothing(ordered: PlantedModel) -> None:
    ordered.candidate("shadow", 5)
    state = ordered.state
    assert ordered.candidate("shadow", 5) == []
    assert ordered.state == state


def test_news_and_clicks_for_another_incident_are_ignored(ordered: PlantedModel) -> None:
    state = ordered.state
    news = CandidateMoved(at=ordered.now, incident_id="other", stage="refused", reason=because("gate-licence"))
    assert ordered.happen(news) == []
    assert ordered.happen(PersonSaid(at=ordered.now, incident_id="other", said="close", who="p")) == []
    assert ordered.state == state


def test_clicks_that_do_not_fit_are_ignored(ordered: PlantedModel) -> None:
    assert answers(ordered.incident) == ("close",)
    for said in ("repaired", "permanent", "adopt", "retrain"):
        assert ordered.say(said) == []  # type: ignore[arg-type]
    assert ordered.phase() is Phase.RETRAIN


def test_a_person_may_close_any_incident(ordered: PlantedModel) -> None:
    ordered.say("close")
    assert ordered.state.incident is None
    assert ordered.phase() is ordered.phase(B) is Phase.OK


def test_a_dirty_camera_in_an_incident_of_the_product_keeps_its_ticket_and_its_labels_out(dirty: PlantedModel) -> None:
    dirty.windows(60, {A: "image"})
    dirty.windows(8, {A: "image", B: "embedding"})
    assert dirty.incident.cameras == {A: Kind.SENSOR, B: Kind.PRODUCT}
    assert (dirty.phase(A), dirty.phase(B)) == (Phase.SENSOR, Phase.LABELS)
    assert {ask.camera for ask in dirty.all_of(AskForLabels)} == {B}
    dirty.labels(200, A, error=0.7)
    assert dirty.phase(B) is Phase.LABELS
    dirty.labels(200, B, error=0.7)
    assert dirty.phase(B) is Phase.RETRAIN
    assert dirty.incident.tickets == (A,)
