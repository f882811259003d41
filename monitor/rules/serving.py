"""A release serves, is labelled, and may be found wrong."""

from __future__ import annotations

from monitor.rules import answering, trigger, withdrawal
from monitor.rules.action import Kind, Phase, Withdraw
from monitor.rules.decision import moved, under_key
from monitor.rules.facts import BundleFacts
from monitor.rules.happening import LabelSeen, WindowSeen
from monitor.rules.incident import closed, labelled, new_incident, opened, settled
from monitor.rules.pace import Pace, slower
from monitor.rules.reason import Reason, because
from monitor.rules.turn import Turn


def release(turn: Turn, facts: BundleFacts) -> None:
    """Another release serves: every camera starts under its key. Ill cameras stay ill and keep their tickets."""
    if turn.state.facts is not None and turn.state.facts.bundle_hash == facts.bundle_hash:
        return
    turn.set(facts=facts, last_closed=None, since=trigger.since_release(turn.state.since, turn.at))
    turn.fresh_watch()
    for camera in turn.state.cameras.values():
        key = camera.key.model_copy(update={"bundle_hash": facts.bundle_hash})
        if key != camera.key:
            fresh, changes = under_key(camera, key, turn.at, turn.settings)
            turn.set_camera(fresh, list(changes))
    incident = turn.state.incident
    if incident is None:
        return
    promoted = incident.candidate == facts.bundle_hash
    reason = because("promoted" if promoted else "new-release", number=facts.number)
    ill: dict[str, Kind] = dict.fromkeys(incident.of_kind(Kind.SENSOR), Kind.SENSOR)
    if not ill:
        turn.set_incident(*closed(incident, turn.at, reason.code, reason))
        return
    kept = new_incident(incident.incident_id, facts, ill, incident.since, turn.at, turn.settings)
    kept = kept.model_copy(update={"opened_at": incident.opened_at, "tickets": incident.tickets})
    for name in ill:
        _keep_ill(turn, name, reason)
    turn.set_incident(*settled(kept, turn.at, reason, turn.settings))


def _keep_ill(turn: Turn, name: str, reason: Reason) -> None:
    if name in turn.state.cameras and turn.state.cameras[name].profile is None:
        camera, _ = moved(turn.state.cameras[name], Phase.SENSOR, turn.at, reason)
        turn.set_camera(camera)


def label(turn: Turn, label: LabelSeen) -> None:
    facts = turn.state.facts
    if facts is None or label.bundle_hash != facts.bundle_hash:
        return
    incident = turn.state.incident
    if turn.state.since is not None:
        turn.set(since=trigger.after_label(turn.state.since, label, facts, turn.settings))
    if incident is not None and label.camera in incident.cameras:
        turn.set_incident(*labelled(incident, label, facts, turn.settings))
        return
    if turn.state.watch is not None and (incident is None or not incident.leading):
        turn.set(watch=withdrawal.labelled(turn.state.watch, label, facts, turn.settings))


def inspected(turn: Turn, seen: WindowSeen) -> None:
    """The parts of a window stand against the served release, or for it."""
    facts, watch = turn.state.facts, turn.state.watch
    if facts is None or watch is None or seen.window.bundle_hash != facts.bundle_hash:
        return
    if turn.state.incident is None or not turn.state.incident.leading:
        turn.set(watch=withdrawal.inspected(watch, seen.camera, seen.window.images, seen.at, late=seen.late))


def judge_release(turn: Turn, facts: BundleFacts) -> None:
    """Proof against the served release: withdraw it while it is young, open an incident later."""
    watch = turn.state.watch
    if watch is None or watch.acted:
        return
    young = withdrawal.on_probation(facts, (turn.at - facts.activated_at).total_seconds(), turn.settings)
    proofs = withdrawal.proven(watch, turn.settings, young=young)
    if young:
        proofs += slower(_paces(turn, facts), turn.settings)
    if not proofs:
        return
    if facts.previous is not None and young:
        turn.actions.append(Withdraw(bundle_hash=facts.bundle_hash, to=facts.previous, reason=proofs[0]))
        turn.set(watch=watch.model_copy(update={"acted": True}))
        return
    _harm_without_drift(turn, facts, watch, proofs)


def _paces(turn: Turn, facts: BundleFacts) -> list[tuple[str, Pace]]:
    """How fast each camera that serves the release is, healthy or not."""
    cameras = turn.state.cameras.values()
    return [(camera.camera, camera.pace) for camera in cameras if camera.key.bundle_hash == facts.bundle_hash]


def _harm_without_drift(turn: Turn, facts: BundleFacts, watch: withdrawal.Watch, proofs: list[Reason]) -> None:
    """Audit labels found what no camera saw: the healthy cameras lead an incident whose harm is proven already."""
    healthy: dict[str, Kind] = {
        name: Kind.LABELS
        for name, camera in turn.state.cameras.items()
        if camera.key.bundle_hash == facts.bundle_hash and camera.phase is not Phase.SENSOR
    }
    if not healthy:
        return
    incident = turn.state.incident
    if incident is None:
        incident = new_incident(turn.new_incident_id(), facts, healthy, facts.activated_at, turn.at, turn.settings)
        turn.actions.append(opened(incident, proofs[0]))
    changes = {"evidence": watch.evidence, "cameras": {**incident.cameras, **healthy}}
    turn.set(watch=watch.model_copy(update={"acted": True}))
    turn.set_incident(*answering.harmful(incident.model_copy(update=changes), turn.at, proofs))
