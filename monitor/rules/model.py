"""All rules of one model (site x product): `step(state, happening)` gives the next state and the actions to carry out.

The caller stores the state and carries the actions out in one transaction, one happening after the other; then a kill
at any moment loses and doubles nothing. Handing in the same window, release or candidate news twice changes nothing;
labels must be handed in once.
"""

from __future__ import annotations

from monitor.rules import answering, clicking, past, serving, watching
from monitor.rules.action import Action, OrderRetrain
from monitor.rules.happening import CandidateMoved, Happening, LabelSeen, PersonSaid, ReleaseServed, Tick, WindowSeen
from monitor.rules.settings import RuleSettings
from monitor.rules.turn import ModelState, Turn

__all__ = ["ModelState", "step"]


def step(
    state: ModelState, happening: Happening, settings: RuleSettings, *, running_everywhere: int = 0
) -> tuple[ModelState, list[Action]]:
    """The state after `happening`, and what to do. `running_everywhere` counts retrain jobs of all models."""
    turn = Turn(state, happening.at, settings)
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
    elif isinstance(happening, CandidateMoved):
        _candidate(turn, happening)
    elif not isinstance(happening, Tick):
        raise TypeError(f"unknown happening {happening!r}")
    _advance(turn, running_everywhere)
    return turn.state, turn.actions


def _candidate(turn: Turn, news: CandidateMoved) -> None:
    incident = turn.state.incident
    if incident is not None and news.incident_id == incident.incident_id:
        turn.set_incident(*answering.candidate_moved(incident, news))


def _advance(turn: Turn, running_everywhere: int) -> None:
    """Do what is due: judge harm, seek a retrain, notice silent jobs, withdraw a release."""
    facts = turn.state.facts
    if facts is None:
        return
    serving.judge_release(turn, facts)
    incident = turn.state.incident
    if incident is None:
        return
    incident, actions = answering.advance(
        incident, turn.at, facts, turn.state.attempts, turn.settings, running_everywhere=running_everywhere
    )
    if any(isinstance(action, OrderRetrain) for action in (*turn.actions, *actions)):
        turn.set(attempts=(*turn.state.attempts, turn.at)[-20:])
    turn.set_incident(incident, actions)
