"""Whatever happens in whatever order: no storm of actions, nothing stuck, nothing forgotten."""

import json
import tomllib
from datetime import timedelta
from pathlib import Path
from string import Formatter

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

import monitor.rules
from contracts.frame import OutcomeSource
from monitor.rules.action import (
    Action,
    AskForLabels,
    AskPerson,
    CloseIncident,
    CloseTicket,
    HoldRetrain,
    Kind,
    OpenIncident,
    OpenTicket,
    Phase,
    PhaseChanged,
    Withdraw,
)
from monitor.rules.camera import WATCHING
from monitor.rules.happening import Happening
from monitor.rules.reason import Reason, templates
from tests.simulators.planted_model import START, A, B, PlantedModel

MOVED = st.sampled_from([None, "image", "embedding", "class"])
EVENTS = st.one_of(
    st.tuples(st.just("windows"), st.integers(1, 8), MOVED, MOVED),
    st.tuples(st.just("labels"), st.integers(1, 120), st.sampled_from([A, B]), st.sampled_from([0.0, 0.1, 0.7])),
    st.tuples(st.just("audit"), st.integers(1, 60), st.sampled_from([A, B]), st.sampled_from([0.0, 0.7])),
    st.tuples(st.just("say"), st.sampled_from(["repaired", "permanent", "adopt", "retrain", "close"])),
    st.tuples(st.just("candidate"), st.sampled_from(["training", "shadow", "refused", "failed", "promoted"])),
    st.tuples(st.just("wait"), st.floats(0.1, 60)),
    st.tuples(st.just("serve"), st.integers(1, 4)),
)


def play(model: PlantedModel, event: tuple) -> None:  # type: ignore[type-arg]
    match event:
        case ("windows", count, first, second):
            model.windows(count, {camera: moved for camera, moved in ((A, first), (B, second)) if moved})
        case ("labels", count, camera, error):
            model.labels(count, camera, error=error)
        case ("audit", count, camera, error):
            model.labels(count, camera, error=error, source=OutcomeSource.AUDIT)
        case ("say", said) if model.state.incident:
            model.say(said)
        case ("candidate", stage) if model.state.incident:
            model.candidate(stage, 7)
        case ("wait", hours):
            model.wait(hours)
        case ("serve", number):
            model.serve(number)


@settings(max_examples=15)
@given(st.lists(EVENTS, min_size=5, max_size=30))
def test_whatever_happens_actions_stay_few_and_consistent_and_nothing_is_stuck(events: list) -> None:  # type: ignore[type-arg]
    model = PlantedModel()
    model.learn()
    clicks = 0
    for event in events:
        play(model, event)
        clicks += event == ("say", "retrain")
        check_consistency(model)
    check_no_storm(model, clicks)
    check_not_stuck(model)


def check_consistency(model: PlantedModel) -> None:
    """Cameras of an incident follow it, all others watch or learn; what was opened is open, what was closed is not."""
    incident = model.state.incident
    inside = {} if incident is None else incident.cameras
    for name, camera in model.state.cameras.items():
        if name in inside and incident is not None:
            assert camera.phase is incident.phase_of(name)
        elif camera.foreign == 0:
            assert camera.phase in WATCHING | {Phase.LEARNING}
    opened = [action.incident_id for action in model.all_of(OpenIncident)]
    closed = [action.incident_id for action in model.all_of(CloseIncident)]
    assert len(opened) - len(closed) == (incident is not None)
    tickets = {(action.incident_id, action.camera) for action in model.all_of(OpenTicket)}
    assert {(action.incident_id, action.camera) for action in model.all_of(CloseTicket)} <= tickets
    if incident is not None:
        assert len(model.all_of(OpenTicket)) - len(model.all_of(CloseTicket)) == len(incident.tickets)


def check_no_storm(model: PlantedModel, clicks: int) -> None:
    """Bounded by incidents, time and clicks, never by windows or labels."""
    by_rule = [(at, order) for at, order in model.orders if order.reason.code != "retrain-by-person"]
    assert len(model.orders) - len(by_rule) <= clicks
    for at, _ in by_rule:
        before = [other for other, _ in model.orders if other < at]
        assert sum(at - other < timedelta(days=7) for other in before) < 3
        assert not before or at - before[-1] >= timedelta(hours=24)
    incidents, orders = len(model.all_of(OpenIncident)), len(model.orders)
    asked = sum(ask.total - ask.overruled for ask in model.all_of(AskForLabels))
    assert asked <= incidents * (5 * 200 + 60)
    days = (model.now - START) // timedelta(hours=model.settings.person_hours)
    assert len(model.all_of(AskPerson)) <= incidents + orders + days
    assert len(model.all_of(HoldRetrain)) <= 8 * (incidents + orders)


def check_not_stuck(model: PlantedModel) -> None:
    """Left alone on a healthy line the model comes to rest; what it does not end by itself a person can."""
    number = model.state.facts.number if model.state.facts else 1
    model.serve(number)
    model.windows(140, minutes=60.0)
    if model.state.incident is not None:
        kinds = set(model.state.incident.cameras.values())
        assert kinds & {Kind.LABELS, Kind.SENSOR}, "only harm found by labels and unlearned dirt wait for people"
        model.say("repaired")
        if model.state.incident is not None:
            model.say("close")
        model.windows(60)
    assert model.state.incident is None
    assert model.phase(A) is model.phase(B) is Phase.OK


def test_a_month_without_drift_changes_no_phase_and_asks_for_nothing() -> None:
    model = PlantedModel()
    model.learn()
    before = len(model.actions)
    model.windows(400, minutes=108.0)
    changed = [action for action in model.actions[before:] if not isinstance(action, PhaseChanged)]
    assert changed == []
    assert len(model.actions) - before <= 16


def test_a_state_stays_small_enough_to_be_stored_with_every_window() -> None:
    model = PlantedModel()
    model.learn()
    model.windows(8, {A: "embedding", B: "embedding"})
    model.labels(300, A, error=0.4)
    assert len(model.state.model_dump_json()) < 60_000


def test_every_action_and_happening_survives_json() -> None:
    model = PlantedModel()
    model.learn()
    model.windows(8, {A: "image"})
    model.say("permanent")
    model.labels(220, A, error=0.7)
    adapter: TypeAdapter[Action] = TypeAdapter(Action)
    for action in model.actions:
        assert adapter.validate_json(adapter.dump_json(action)) == action
    seen = model.window(A, model.now - timedelta(minutes=1), None, 0.0, 1)
    happenings: TypeAdapter[Happening] = TypeAdapter(Happening)
    assert happenings.validate_json(happenings.dump_json(seen)) == seen


def test_every_action_of_a_long_story_has_a_reason_in_plain_words() -> None:
    model = PlantedModel()
    model.learn()
    model.windows(8, {A: "image"})
    model.say("repaired")
    model.windows(6, {A: "image"})
    model.say("permanent")
    model.labels(220, A, error=0.7)
    model.candidate("failed")
    model.serve(2)
    model.windows(45)
    model.labels(60, B, error=0.7, source=OutcomeSource.AUDIT)
    assert model.all_of(Withdraw)
    for action in model.actions:
        assert action.reason.code in templates(), action.reason
        assert "{" not in action.reason.plain


def test_every_code_of_the_rules_has_a_text_and_every_text_a_code() -> None:
    folder = Path(monitor.rules.__file__).parent
    source = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    texts = tomllib.loads((folder / "reasons.toml").read_text(encoding="utf-8"))
    unused = [code for code in texts if f'"{code}"' not in source]
    assert unused == []
    for text in texts.values():
        assert all(name is None or name.isidentifier() for _, name, _, _ in Formatter().parse(text))


def test_a_reason_of_somebody_elses_texts_is_shown_with_its_parameters() -> None:
    assert Reason(code="candidate.broken", parameters={"why": "no answer"}).plain == "candidate.broken why=no answer"


def test_reasons_round_what_people_read() -> None:
    reason = Reason.model_validate_json(json.dumps({"code": "over-limit", "parameters": {"ratio": 1.5}}))
    assert reason.plain == "one window differs from the normal state: 1.5 times the limit"
