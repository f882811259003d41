"""A person says something to the open incident."""

from __future__ import annotations

from monitor.rules import answering
from monitor.rules.action import HoldRetrain, Kind
from monitor.rules.camera import without_evidence
from monitor.rules.decision import relearn, released
from monitor.rules.happening import PersonSaid
from monitor.rules.incident import Incident, answers, as_product, as_sensor, closed, settled, without_camera
from monitor.rules.reason import Reason, because
from monitor.rules.size import UsualSize
from monitor.rules.turn import Turn


def person(turn: Turn, click: PersonSaid) -> None:
    incident = turn.state.incident
    if incident is None or click.incident_id != incident.incident_id or click.said not in answers(incident):
        return
    if click.said == "repaired":
        _repaired(turn, incident, click.who)
    elif click.said == "permanent":
        _permanent(turn, incident, because("permanent", who=click.who))
    elif click.said == "adopt":
        _adopt(turn, incident, because("adopted", who=click.who))
    elif click.said == "retrain":
        _retrain(turn, incident, click.who)
    else:
        _close(turn, incident, because("closed", who=click.who))


def _retrain(turn: Turn, incident: Incident, who: str) -> None:
    """A person does not wait for the governor, but two retrains of one model at once help nobody."""
    if turn.jobs.here:
        reason = because("governor-running")
        turn.actions.append(HoldRetrain(incident_id=incident.incident_id, until=None, reason=reason))
        return
    turn.set_incident(*answering.ordered(incident, turn.at, because("retrain-by-person", who=who)))


def _repaired(turn: Turn, incident: Incident, who: str) -> None:
    incident = _blamed(turn, incident, because("repaired-doubt", who=who))
    for name in incident.of_kind(Kind.SENSOR):
        camera = turn.state.cameras[name]
        if camera.profile is None:
            _relearn_and_leave(turn, name, because("repaired-unlearned", who=who))
            continue
        turn.set_camera(without_evidence(camera).model_copy(update={"repaired_at": turn.at}))


def _blamed(turn: Turn, incident: Incident, reason: Reason) -> Incident:
    """The incident with its doubtful cameras taken for ill: somebody has found what it was."""
    facts = turn.state.facts
    if facts is None or not incident.doubtful or incident.under_way:
        return incident
    for name in incident.doubtful:
        incident = as_sensor(incident, name, facts, turn.settings)
    turn.set_incident(*settled(incident, turn.at, reason, turn.settings))
    return incident


def _permanent(turn: Turn, incident: Incident, reason: Reason) -> None:
    for name in (*incident.of_kind(Kind.SENSOR), *incident.doubtful):
        if turn.state.cameras[name].profile is None:
            _relearn_and_leave(turn, name, reason)
            continue
        current = turn.state.incident or incident
        turn.set_camera(turn.state.cameras[name].model_copy(update={"usual_size": UsualSize()}))
        turn.set_incident(*as_product(current, name, reason))
    if turn.state.incident is not None:
        turn.set_incident(*settled(turn.state.incident, turn.at, reason, turn.settings))


def _relearn_and_leave(turn: Turn, name: str, reason: Reason) -> None:
    camera, changes = relearn(turn.state.cameras[name], turn.at, reason, turn.settings)
    turn.set_camera(camera, list(changes))
    if turn.state.incident is not None:
        turn.set_incident(*without_camera(turn.state.incident, name, turn.at, reason, turn.settings))


def _adopt(turn: Turn, incident: Incident, reason: Reason) -> None:
    """The present state is the new normal of every camera that is not ill."""
    for name in sorted(set(incident.cameras) - set(incident.of_kind(Kind.SENSOR))):
        _relearn_and_leave(turn, name, reason)


def _close(turn: Turn, incident: Incident, reason: Reason) -> None:
    turn.set_incident(*closed(incident, turn.at, "closed", reason))
    for name in incident.cameras:
        camera, changes = released(turn.state.cameras[name], turn.at, reason)
        turn.set_camera(camera, list(changes))
