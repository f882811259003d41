"""All rules of one model (site x product): `step(state, happening)` gives the next state and the actions to carry out.

The caller stores the state and carries the actions out in one transaction, one happening after the other; then a kill
at any moment loses and doubles nothing. Handing in the same window, release or candidate news twice changes nothing;
labels must be handed in once.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from contracts.names import Moment
from monitor.rules import answering, withdrawal
from monitor.rules.action import Action, Kind, OrderRetrain, Phase, QualityAlert, Withdraw
from monitor.rules.decision import WATCHING, CameraState, first_state, moved, relearn, released, see, under_key
from monitor.rules.diagnosis import diagnose, estimated_shares
from monitor.rules.facts import BundleFacts
from monitor.rules.happening import CandidateMoved, Happening, LabelSeen, PersonSaid, ReleaseServed, Tick, WindowSeen
from monitor.rules.incident import (
    Incident,
    answers,
    as_product,
    closed,
    joined,
    labelled,
    new_incident,
    opened,
    settled,
    without_camera,
)
from monitor.rules.reason import Reason, because
from monitor.rules.settings import RuleSettings

_PATIENCE_WITH_FOREIGN = 20  # windows of another bundle than the served one, until the camera is taken to stay on it
_REOPENS = frozenset({"repaired", "vanished"})


class ModelState(BaseModel):
    """All that the rules remember of one model; JSON-serialisable."""

    model_config = ConfigDict(frozen=True)

    site: str
    product: str
    facts: BundleFacts | None = None
    watch: withdrawal.Watch | None = None
    cameras: dict[str, CameraState] = {}
    incident: Incident | None = None
    opened: int = 0
    last_closed_id: str | None = None
    last_closed_at: Moment | None = None
    attempts: tuple[Moment, ...] = ()


def step(
    state: ModelState, happening: Happening, settings: RuleSettings, *, running_everywhere: int = 0
) -> tuple[ModelState, list[Action]]:
    """The state after `happening`, and what to do. `running_everywhere` counts retrain jobs of all models."""
    turn = _Turn(state, happening.at, settings)
    if isinstance(happening, WindowSeen):
        turn.window(happening)
    elif isinstance(happening, LabelSeen):
        turn.label(happening)
    elif isinstance(happening, ReleaseServed):
        turn.release(happening.facts)
    elif isinstance(happening, PersonSaid):
        turn.person(happening)
    elif isinstance(happening, CandidateMoved):
        turn.candidate(happening)
    elif not isinstance(happening, Tick):
        raise TypeError(f"unknown happening {happening!r}")
    turn.advance(running_everywhere)
    return turn.state, turn.actions


class _Turn:
    """One step in the making: the state so far and the actions collected."""

    def __init__(self, state: ModelState, at: Moment, settings: RuleSettings) -> None:
        self.state, self.at, self.settings = state, at, settings
        self.actions: list[Action] = []

    def _set(self, **changes: object) -> None:
        self.state = self.state.model_copy(update=changes)

    def _set_camera(self, camera: CameraState, actions: list[Action] | None = None) -> None:
        self._set(cameras={**self.state.cameras, camera.camera: camera})
        self.actions += actions or []

    def _set_incident(self, incident: Incident, actions: list[Action]) -> None:
        """Take the incident's next value; its cameras follow it."""
        self.actions += actions
        if incident.phase is Phase.CLOSED:
            resolution = next(getattr(action, "resolution", "") for action in reversed(actions))
            again = incident.incident_id if resolution in _REOPENS else None
            self._set(incident=None, last_closed_id=again, last_closed_at=self.at)
            self._fresh_watch()
            return
        self._set(incident=incident)
        reason = actions[-1].reason if actions else because("follows-incident")
        for name in incident.cameras:
            if name in self.state.cameras:
                camera, changes = moved(self.state.cameras[name], incident.phase_of(name), self.at, reason)
                self._set_camera(camera, list(changes))

    def _fresh_watch(self) -> None:
        facts = self.state.facts
        self._set(watch=None if facts is None else withdrawal.watch_of(facts, self.settings))

    # windows

    def window(self, happening: WindowSeen) -> None:
        name, facts = happening.camera, self.state.facts
        camera = self.state.cameras.get(name) or first_state(happening, self.settings)
        if facts is not None and happening.window.bundle_hash != facts.bundle_hash:
            camera = camera.model_copy(update={"foreign": camera.foreign + 1})
            if camera.foreign < _PATIENCE_WITH_FOREIGN:
                self._set_camera(camera)
                return
        else:
            camera = camera.model_copy(update={"foreign": 0})
        if camera.last_at is not None and happening.at <= camera.last_at:
            return
        if camera.phase is Phase.SENSOR and camera.profile is None:
            return
        camera, changes = see(camera, happening, self.settings)
        self._set_camera(camera, list(changes))
        self._watch_window(happening)
        self._recover(camera)
        self._diagnose_all()

    def _watch_window(self, happening: WindowSeen) -> None:
        facts, watch = self.state.facts, self.state.watch
        if facts is None or watch is None or happening.window.bundle_hash != facts.bundle_hash:
            return
        if self.state.incident is None or not self.state.incident.leading:
            images = happening.window.images
            self._set(watch=withdrawal.inspected(watch, happening.camera, images, happening.window.ended_at))

    def _recover(self, camera: CameraState) -> None:
        """A camera of the incident that is quiet again leaves it: soon after a repair, later by itself."""
        incident = self.state.incident
        if incident is None or camera.camera not in incident.cameras:
            if camera.phase not in WATCHING and camera.phase is not Phase.LEARNING:
                fresh, changes = released(camera, self.at, because("incident-over"))
                self._set_camera(fresh, list(changes))
            return
        if camera.repaired_at is not None and camera.persistence.drift_detected:
            self._set_camera(camera.model_copy(update={"repaired_at": None}))
            self._set_incident(*settled(incident, self.at, because("repair-not-confirmed"), self.settings))
            return
        reason = self._recovery(incident, camera)
        if reason is not None:
            self._leave(incident, camera, reason)

    def _recovery(self, incident: Incident, camera: CameraState) -> Reason | None:
        kind = incident.cameras[camera.camera]
        if camera.repaired_at is not None and camera.quiet >= self.settings.confirm_windows:
            return because("repaired", windows=camera.quiet)
        patience = {Phase.RETRAIN: None, Phase.SHADOW: None, Phase.HARMFUL: 3}.get(incident.phase, 1)
        if kind in (Kind.SENSOR, Kind.PRIOR):
            patience = 1
        if kind is Kind.LABELS or patience is None or camera.quiet < patience * self.settings.vanish_windows:
            return None
        return because("vanished", windows=camera.quiet)

    def _leave(self, incident: Incident, camera: CameraState, reason: Reason) -> None:
        fresh, changes = released(camera, self.at, reason)
        self._set_camera(fresh, list(changes))
        self._set_incident(*without_camera(incident, camera.camera, self.at, reason, self.settings))

    # drift

    def _diagnose_all(self) -> None:
        for name in sorted(self.state.cameras):
            camera = self.state.cameras[name]
            if camera.phase is Phase.DRIFT:
                self._diagnose(camera)

    def _diagnose(self, camera: CameraState) -> None:
        facts = self.state.facts
        if facts is None or camera.onset is None or camera.key.bundle_hash != facts.bundle_hash:
            return
        siblings = [
            other
            for other in self.state.cameras.values()
            if other.line == camera.line and other.camera != camera.camera
        ]
        diagnosis = diagnose(camera, siblings, self.settings)
        if diagnosis is None:
            return
        incident = self._incident_for(camera, diagnosis.kind, diagnosis.reason, facts)
        if diagnosis.kind is Kind.PRIOR:
            self._alert(incident, camera, facts, diagnosis.reason)
        self._set_incident(*joined(incident, camera.camera, diagnosis, self.at, self.settings))

    def _incident_for(self, camera: CameraState, kind: Kind, reason: Reason, facts: BundleFacts) -> Incident:
        """The open incident, the one closed a moment ago, or a new one."""
        if self.state.incident is not None:
            return self.state.incident
        incident_id, last = self.state.last_closed_id, self.state.last_closed_at
        recent = last is not None and (self.at - last).total_seconds() <= self.settings.merge_minutes * 60
        if incident_id is None or not recent:
            self._set(opened=self.state.opened + 1)
            incident_id = f"{self.state.site[:48]}.{self.state.product[:48]}.{self.state.opened}"
        since = camera.onset or self.at
        incident = new_incident(incident_id, facts, {camera.camera: kind}, since, self.at, self.settings)
        self._set(incident=incident)
        self.actions.append(opened(incident, reason))
        return incident

    def _alert(self, incident: Incident, camera: CameraState, facts: BundleFacts, reason: Reason) -> None:
        total: dict[str, int] = {}
        for seen in camera.since_onset():
            for label, count in seen.answers.items():
                total[label] = total.get(label, 0) + count
        shares = estimated_shares(facts.confusion, total)
        self.actions.append(
            QualityAlert(incident_id=incident.incident_id, camera=camera.camera, shares=shares, reason=reason)
        )

    # labels

    def label(self, label: LabelSeen) -> None:
        facts = self.state.facts
        if facts is None or label.bundle_hash != facts.bundle_hash:
            return
        incident = self.state.incident
        if incident is not None and label.camera in incident.cameras:
            self._set_incident(*labelled(incident, label, facts, self.settings))
            return
        if self.state.watch is not None and (incident is None or not incident.leading):
            self._set(watch=withdrawal.labelled(self.state.watch, label, facts, self.settings))

    # releases, people, candidates

    def release(self, facts: BundleFacts) -> None:
        """Another release serves: every camera starts under its key. Ill cameras stay ill and keep their tickets."""
        if self.state.facts is not None and self.state.facts.bundle_hash == facts.bundle_hash:
            return
        self._set(facts=facts)
        self._fresh_watch()
        for camera in self.state.cameras.values():
            key = camera.key.model_copy(update={"bundle_hash": facts.bundle_hash})
            if key != camera.key:
                fresh, changes = under_key(camera, key, self.at, self.settings)
                self._set_camera(fresh, list(changes))
        incident = self.state.incident
        if incident is None:
            return
        promoted = incident.candidate == facts.bundle_hash
        reason = because("promoted" if promoted else "new-release", number=facts.number)
        ill: dict[str, Kind] = dict.fromkeys(incident.of_kind(Kind.SENSOR), Kind.SENSOR)
        if not ill:
            self._set_incident(*closed(incident, self.at, reason.code, reason))
            return
        kept = new_incident(incident.incident_id, facts, ill, incident.since, self.at, self.settings)
        kept = kept.model_copy(update={"opened_at": incident.opened_at, "tickets": incident.tickets})
        for name in ill:
            self._forget_profile(name, reason)
        self._set_incident(*settled(kept, self.at, reason, self.settings))

    def _forget_profile(self, name: str, reason: Reason) -> None:
        if name in self.state.cameras and self.state.cameras[name].profile is None:
            camera, _ = moved(self.state.cameras[name], Phase.SENSOR, self.at, reason)
            self._set_camera(camera)

    def person(self, click: PersonSaid) -> None:
        incident = self.state.incident
        if incident is None or click.incident_id != incident.incident_id or click.said not in answers(incident):
            return
        if click.said == "repaired":
            self._repaired(incident, click.who)
        elif click.said == "permanent":
            self._permanent(incident, because("permanent", who=click.who))
        elif click.said == "adopt":
            self._adopt(incident, because("adopted", who=click.who))
        elif click.said == "retrain":
            self._set_incident(*answering.ordered(incident, self.at, because("retrain-by-person", who=click.who)))
        else:
            self._close(incident, because("closed", who=click.who))

    def _repaired(self, incident: Incident, who: str) -> None:
        for name in incident.of_kind(Kind.SENSOR):
            camera = self.state.cameras[name]
            if camera.profile is None:
                self._relearn_and_leave(name, because("repaired-unlearned", who=who))
                continue
            changes = {"repaired_at": self.at, "quiet": 0, "persistence": camera.persistence.cleared()}
            self._set_camera(camera.model_copy(update=changes))

    def _permanent(self, incident: Incident, reason: Reason) -> None:
        for name in incident.of_kind(Kind.SENSOR):
            if self.state.cameras[name].profile is None:
                self._relearn_and_leave(name, reason)
                continue
            current = self.state.incident or incident
            self._set_incident(*as_product(current, name, reason))
        if self.state.incident is not None:
            self._set_incident(*settled(self.state.incident, self.at, reason, self.settings))

    def _relearn_and_leave(self, name: str, reason: Reason) -> None:
        camera, changes = relearn(self.state.cameras[name], self.at, reason, self.settings)
        self._set_camera(camera, list(changes))
        if self.state.incident is not None:
            self._set_incident(*without_camera(self.state.incident, name, self.at, reason, self.settings))

    def _adopt(self, incident: Incident, reason: Reason) -> None:
        """The present state is the new normal of every camera that is not ill."""
        for name in sorted(set(incident.cameras) - set(incident.of_kind(Kind.SENSOR))):
            self._relearn_and_leave(name, reason)

    def _close(self, incident: Incident, reason: Reason) -> None:
        self._set_incident(*closed(incident, self.at, "closed", reason))
        for name in incident.cameras:
            camera, changes = released(self.state.cameras[name], self.at, reason)
            self._set_camera(camera, list(changes))

    def candidate(self, news: CandidateMoved) -> None:
        incident = self.state.incident
        if incident is not None and news.incident_id == incident.incident_id:
            self._set_incident(*answering.candidate_moved(incident, news))

    # what is due

    def advance(self, running_everywhere: int) -> None:
        """Do what is due: judge harm, seek a retrain, notice silent jobs, withdraw a release."""
        facts = self.state.facts
        if facts is None:
            return
        self._judge_release(facts)
        incident = self.state.incident
        if incident is None:
            return
        turn = answering.advance(
            incident, self.at, facts, self.state.attempts, self.settings, running_everywhere=running_everywhere
        )
        if any(isinstance(action, OrderRetrain) for action in (*self.actions, *turn[1])):
            self._set(attempts=(*self.state.attempts, self.at)[-20:])
        self._set_incident(*turn)

    def _judge_release(self, facts: BundleFacts) -> None:
        """Proof against the served release: withdraw it while it is young, open an incident later."""
        watch = self.state.watch
        if watch is None or watch.acted:
            return
        proofs = withdrawal.proven(watch, self.settings)
        if not proofs:
            return
        age = (self.at - facts.activated_at).total_seconds()
        if facts.previous is not None and withdrawal.on_probation(facts, age, self.settings):
            self.actions.append(Withdraw(bundle_hash=facts.bundle_hash, to=facts.previous, reason=proofs[0]))
            self._set(watch=watch.model_copy(update={"acted": True}))
            return
        self._harm_without_drift(facts, watch, proofs)

    def _harm_without_drift(self, facts: BundleFacts, watch: withdrawal.Watch, proofs: list[Reason]) -> None:
        """Audit labels found what no camera saw: the healthy cameras lead an incident whose harm is proven already."""
        healthy: dict[str, Kind] = {
            name: Kind.LABELS
            for name, camera in self.state.cameras.items()
            if camera.key.bundle_hash == facts.bundle_hash and camera.phase is not Phase.SENSOR
        }
        if not healthy:
            return
        incident = self.state.incident
        if incident is None:
            self._set(opened=self.state.opened + 1)
            incident_id = f"{self.state.site[:48]}.{self.state.product[:48]}.{self.state.opened}"
            incident = new_incident(incident_id, facts, healthy, facts.activated_at, self.at, self.settings)
            self.actions.append(opened(incident, proofs[0]))
        changes = {"evidence": watch.evidence, "cameras": {**incident.cameras, **healthy}}
        self._set(watch=watch.model_copy(update={"acted": True}))
        self._set_incident(*answering.harmful(incident.model_copy(update=changes), self.at, proofs))
