"""A window comes in: its camera is judged, recovers or drifts, and a drift is diagnosed into an incident."""

from __future__ import annotations

from datetime import timedelta

from drift.bbse import estimated_shares
from monitor.rules import serving
from monitor.rules.action import Kind, Phase, QualityAlert
from monitor.rules.camera import WATCHING, CameraState, first_state
from monitor.rules.decision import released, see
from monitor.rules.diagnosis import diagnose, set_up_anew
from monitor.rules.facts import BundleFacts
from monitor.rules.happening import WindowSeen
from monitor.rules.incident import (
    Incident,
    as_sensor,
    joined,
    new_incident,
    opened,
    settled,
    without_camera,
    without_ticket,
)
from monitor.rules.reason import Reason, because
from monitor.rules.turn import Turn

_PATIENCE_WITH_FOREIGN = 20  # windows of another bundle than the served one, until the camera is taken to stay on it


def window(turn: Turn, happening: WindowSeen) -> None:
    name, facts = happening.camera, turn.state.facts
    camera = turn.state.cameras.get(name) or first_state(happening, turn.settings)
    if facts is not None and happening.window.bundle_hash != facts.bundle_hash:
        camera = camera.model_copy(update={"foreign": camera.foreign + 1})
        if camera.foreign < _PATIENCE_WITH_FOREIGN:
            turn.set_camera(camera)
            return
    else:
        camera = camera.model_copy(update={"foreign": 0})
    if camera.last_at is not None and happening.at <= camera.last_at:
        return
    if camera.phase is Phase.SENSOR and camera.profile is None:
        return
    camera, changes = see(camera, happening, turn.settings)
    turn.set_camera(camera, list(changes))
    serving.inspected(turn, happening)
    _recover(turn, camera)
    _look_at_its_size(turn, camera)
    _diagnose_all(turn)


def _recover(turn: Turn, camera: CameraState) -> None:
    """A camera of the incident that is quiet again leaves it: soon after a repair, later by itself."""
    incident = turn.state.incident
    if incident is None or camera.camera not in incident.cameras:
        if camera.phase not in WATCHING and camera.phase is not Phase.LEARNING:
            fresh, changes = released(camera, turn.at, because("incident-over"))
            turn.set_camera(fresh, list(changes))
        return
    if camera.repaired_at is not None and camera.drift_detected:
        turn.set_camera(camera.model_copy(update={"repaired_at": None}))
        turn.set_incident(*settled(incident, turn.at, because("repair-not-confirmed"), turn.settings))
        return
    reason = _recovery(turn, incident, camera)
    if reason is not None:
        _leave(turn, incident, camera, reason)


def _recovery(turn: Turn, incident: Incident, camera: CameraState) -> Reason | None:
    kind = incident.cameras[camera.camera]
    if camera.repaired_at is not None and camera.quiet >= turn.settings.confirm_windows:
        return because("repaired", windows=camera.quiet)
    patience = {Phase.RETRAIN: None, Phase.SHADOW: None, Phase.HARMFUL: 3}.get(incident.phase, 1)
    if kind in (Kind.SENSOR, Kind.PRIOR):
        patience = 1
    if kind is Kind.LABELS or patience is None or camera.quiet < patience * turn.settings.vanish_windows:
        return None
    return because("vanished", windows=camera.quiet)


def _leave(turn: Turn, incident: Incident, camera: CameraState, reason: Reason) -> None:
    fresh, changes = released(camera, turn.at, reason)
    turn.set_camera(fresh, list(changes))
    turn.set_incident(*without_camera(incident, camera.camera, turn.at, reason, turn.settings))


def _look_at_its_size(turn: Turn, camera: CameraState) -> None:
    """A camera of an incident whose pictures have another size since was set up anew, whatever it was taken for: what
    labels say of it proves nothing of the product any more, and its ticket says what is to be looked at now."""
    incident, facts = turn.state.incident, turn.state.facts
    if incident is None or facts is None or incident.under_way or not camera.resized:
        return
    kind = incident.cameras.get(camera.camera)
    if kind not in (Kind.PRODUCT, Kind.PRIOR, Kind.SENSOR) or camera.camera in incident.resized:
        return
    diagnosis = set_up_anew(camera)
    turn.set_incident(*without_ticket(incident, camera.camera, diagnosis.reason))
    incident = turn.state.incident or incident
    if kind is not Kind.SENSOR:
        incident = as_sensor(incident, camera.camera, facts, turn.settings)
    turn.set_incident(*joined(incident, camera.camera, diagnosis, turn.at, turn.settings))


def _diagnose_all(turn: Turn) -> None:
    for name in sorted(turn.state.cameras):
        camera = turn.state.cameras[name]
        if camera.phase is Phase.DRIFT:
            _diagnose(turn, camera)


def give_up_waiting(turn: Turn) -> None:
    """A drift whose windows stopped coming is diagnosed by what there is; one of a camera that stays on another bundle
    than the served one can be no incident of it, and is looked for anew."""
    patience = timedelta(hours=turn.settings.diagnose_hours)
    for name in sorted(turn.state.cameras):
        camera = turn.state.cameras[name]
        if camera.phase is not Phase.DRIFT or turn.at - camera.since < patience:
            continue
        _diagnose(turn, camera, overdue=True)
        if turn.state.cameras[name].phase is Phase.DRIFT:
            fresh, changes = released(turn.state.cameras[name], turn.at, because("drift-not-served"))
            turn.set_camera(fresh, list(changes))


def _diagnose(turn: Turn, camera: CameraState, *, overdue: bool = False) -> None:
    facts = turn.state.facts
    if facts is None or camera.onset is None or camera.key.bundle_hash != facts.bundle_hash:
        return
    siblings = [
        other for other in turn.state.cameras.values() if other.line == camera.line and other.camera != camera.camera
    ]
    diagnosis = diagnose(camera, siblings, turn.settings, facts.signatures, overdue=overdue)
    if diagnosis is None:
        return
    incident = _incident_for(turn, camera, diagnosis.kind, diagnosis.reason, facts)
    if diagnosis.kind is Kind.PRIOR:
        _alert(turn, incident, camera, facts, diagnosis.reason)
    turn.set_incident(*joined(incident, camera.camera, diagnosis, turn.at, turn.settings))


def _incident_for(turn: Turn, camera: CameraState, kind: Kind, reason: Reason, facts: BundleFacts) -> Incident:
    """The open incident, the one of this camera and kind that was closed a moment ago, or a new one."""
    if turn.state.incident is not None:
        return turn.state.incident
    last = turn.state.last_closed
    recent = last is not None and turn.at - last.at <= timedelta(minutes=turn.settings.merge_minutes)
    if last is not None and recent and last.cameras.get(camera.camera) is kind:
        incident_id = last.incident_id
    else:
        incident_id = turn.new_incident_id()
    since = camera.onset or turn.at
    incident = new_incident(incident_id, facts, {camera.camera: kind}, since, turn.at, turn.settings)
    turn.set(incident=incident)
    turn.actions.append(opened(incident, reason))
    return incident


def _alert(turn: Turn, incident: Incident, camera: CameraState, facts: BundleFacts, reason: Reason) -> None:
    total: dict[str, int] = {}
    for seen in camera.since_onset():
        for label, count in seen.answers.items():
            total[label] = total.get(label, 0) + count
    shares = estimated_shares(facts.confusion, total)
    turn.actions.append(
        QualityAlert(incident_id=incident.incident_id, camera=camera.camera, shares=shares, reason=reason)
    )
