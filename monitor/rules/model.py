"""All rules of one model (site x product): `step(state, happening)` gives the next state and the actions to carry out.

The caller stores the state and carries the actions out in one transaction, one happening after the other; then a kill
at any moment loses and doubles nothing. Handing in the same window, release or candidate news twice changes nothing;
labels must be handed in once.
"""

from __future__ import annotations

from monitor.rules import answering, budget, clicking, past, serving, trigger, watching
from monitor.rules.action import Action, OrderRetrain
from monitor.rules.governor import Jobs
from monitor.rules.happening import (
    CandidateMoved,
    Happening,
    LabelSeen,
    PersonSaid,
    ReleaseServed,
    RetrainAsked,
    Tick,
    WindowSeen,
)
from monitor.rules.settings import RuleSettings
from monitor.rules.turn import ModelState, Since, Turn

__all__ = ["ModelState", "step"]

_NOTHING_TRAINS = Jobs()


def step(
    state: ModelState, happening: Happening, settings: RuleSettings, *, jobs: Jobs = _NOTHING_TRAINS
) -> tuple[ModelState, list[Action]]:
    """The state after `happening`, and what to do. `jobs`: what trains already."""
    turn = Turn(state, happening.at, settings, jobs)
    if isinstance(happening, WindowSeen):
        camera = state.cameras.get(happening.camera)
        if camera is not None and past.is_past(camera, happening):
            past.look_back(turn, camera, happening)
            return turn.state, turn.actions  # nothing is due at a time that is over
        watching.window(turn, happening)
    elif isinstance(happening, LabelSeen):
        serving.label(turn, happening)
    elif isinstance(happening, ReleaseServed):
        serving.release(turn, happening.facts)
    elif isinstance(happening, PersonSaid):
        clicking.person(turn, happening)
    elif isinstance(happening, RetrainAsked):
        trigger.by_hand(turn, happening)
    elif isinstance(happening, CandidateMoved):
        _candidate(turn, happening)
    elif not isinstance(happening, Tick):
        raise TypeError(f"unknown happening {happening!r}")
    _advance(turn)
    if any(isinstance(action, OrderRetrain) for action in turn.actions):
        trigger.ordered(turn)
    if settings.labels_a_week is not None:
        turn.actions, asks = budget.within(turn.actions, turn.state.asks, turn.at, settings.labels_a_week)
        turn.set(asks=asks)
    return turn.state, turn.actions


def _candidate(turn: Turn, news: CandidateMoved) -> None:
    incident = turn.state.incident
    if incident is not None and news.incident_id == incident.incident_id:
        turn.set_incident(*answering.candidate_moved(incident, news))


def _advance(turn: Turn) -> None:
    """Do what is due: judge harm, seek a retrain, notice silent jobs, ask a person, withdraw a release."""
    facts = turn.state.facts
    if facts is None:
        return
    watching.give_up_waiting(turn)
    serving.judge_release(turn, facts)
    incident = turn.state.incident
    if incident is not None:
        turn.set_incident(
            *answering.advance(incident, turn.at, facts, turn.state.attempts, turn.settings, jobs=turn.jobs)
        )
    if turn.state.since is None:
        turn.set(since=Since(at=facts.activated_at))
    if turn.state.since is not None and not any(isinstance(action, OrderRetrain) for action in turn.actions):
        trigger.seek(turn, turn.state.since)
