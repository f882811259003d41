"""Alarms of one model, merged: which cameras drift and why, what labels say, and where the answer to it stands.

SENSOR cameras wait for a person. PRIOR cameras wait for a person or for proof. PRODUCT cameras lead the incident along
LABELS -> {HARMFUL | HARMLESS} -> RETRAIN -> SHADOW; one that is in doubt, so that it has a ticket, holds the retrain
until somebody has looked at it. Every way back (refused, failed, silent) ends in HARMFUL, from
where the governor is asked again. All functions take an incident and return the next one with its actions.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from contracts.names import Moment, Sha256
from monitor.rules.action import (
    Action,
    AskForLabels,
    ChangeIncident,
    CloseIncident,
    CloseTicket,
    Images,
    Kind,
    OpenIncident,
    OpenTicket,
    Phase,
    VerdictsUnsafe,
)
from monitor.rules.diagnosis import Diagnosis, called
from monitor.rules.evidence import Evidence, counted, harms, no_evidence
from monitor.rules.facts import BundleFacts
from monitor.rules.happening import LabelSeen
from monitor.rules.reason import Reason, because
from monitor.rules.settings import RuleSettings

_SEVERITY = {Kind.SENSOR: 0, Kind.PRIOR: 1, Kind.PRODUCT: 2, Kind.LABELS: 3}
Answer = Literal["repaired", "permanent", "adopt", "retrain", "close"]
Next = tuple["Incident", list[Action]]


class Incident(BaseModel):
    """One open incident; a value."""

    model_config = ConfigDict(frozen=True)

    incident_id: str
    bundle_hash: Sha256
    opened_at: Moment
    last_alarm_at: Moment
    since: Moment = Field(description="labels of parts triggered from here on belong to the drifted state")
    phase: Phase
    phase_since: Moment
    cameras: dict[str, Kind]
    tickets: tuple[str, ...] = ()
    resized: tuple[str, ...] = Field(default=(), description="cameras whose tickets tell another size of the pictures")
    evidence: Evidence
    sensor_evidence: dict[str, Evidence] = Field(default={}, description="proves verdicts unsafe, orders nothing")
    told_unsafe: tuple[str, ...] = ()
    asked: int = Field(default=0, description="images asked for so far, but for overruled ones")
    asked_at: Moment | None = None
    labels_at_attempt: int | None = None
    held: tuple[str, ...] = Field(default=(), description="codes of refusals recorded since the last attempt")
    person_asked: bool = False
    person_asked_at: Moment | None = Field(default=None, description="when it last said that it stands still")
    candidate: Sha256 | None = None

    @property
    def diagnosis(self) -> Kind:
        """The gravest of the cameras' kinds."""
        return max(self.cameras.values(), key=lambda kind: _SEVERITY[kind])

    @property
    def leading(self) -> tuple[str, ...]:
        """Cameras whose labels may order a retrain."""
        return tuple(sorted(name for name, kind in self.cameras.items() if kind in (Kind.PRODUCT, Kind.LABELS)))

    @property
    def doubtful(self) -> tuple[str, ...]:
        """Leading cameras that may be ill themselves: their tickets are open."""
        return tuple(name for name in self.leading if name in self.tickets)

    @property
    def under_way(self) -> bool:
        """Whether a retrain or its candidate is: what the cameras are is no longer asked."""
        return self.phase in (Phase.RETRAIN, Phase.SHADOW)

    def of_kind(self, kind: Kind) -> tuple[str, ...]:
        """Cameras of one kind."""
        return tuple(sorted(name for name, own in self.cameras.items() if own is kind))

    def phase_of(self, camera: str) -> Phase:
        """The phase that one of its cameras is in."""
        return {Kind.SENSOR: Phase.SENSOR, Kind.PRIOR: Phase.PRIOR}.get(self.cameras[camera], self.phase)


def new_incident(
    incident_id: str, bundle: BundleFacts, cameras: dict[str, Kind], since: Moment, at: Moment, settings: RuleSettings
) -> Incident:
    """An incident before its first camera was diagnosed into it."""
    return Incident(
        incident_id=incident_id,
        bundle_hash=bundle.bundle_hash,
        opened_at=at,
        last_alarm_at=at,
        since=since,
        phase=Phase.SENSOR,
        phase_since=at,
        cameras=cameras,
        evidence=no_evidence(bundle, settings),
    )


def opened(incident: Incident, reason: Reason) -> OpenIncident:
    """The action that makes it known."""
    return OpenIncident(
        incident_id=incident.incident_id,
        diagnosis=incident.diagnosis,
        cameras=tuple(sorted(incident.cameras)),
        reason=reason,
    )


def changed(incident: Incident, reason: Reason) -> ChangeIncident:
    """The action that tells its present state."""
    return ChangeIncident(
        incident_id=incident.incident_id,
        phase=incident.phase,
        diagnosis=incident.diagnosis,
        cameras=tuple(sorted(incident.cameras)),
        reason=reason,
    )


def in_phase(incident: Incident, phase: Phase, at: Moment, reason: Reason) -> Next:
    """The incident in another phase."""
    incident = incident.model_copy(update={"phase": phase, "phase_since": at})
    return incident, [changed(incident, reason)]


def joined(incident: Incident, camera: str, diagnosis: Diagnosis, at: Moment, settings: RuleSettings) -> Next:
    """The incident with one more diagnosed camera. Cameras that were taken for ill and turn out to have siblings that
    moved with them are re-diagnosed: it was the product."""
    cameras = {**incident.cameras, camera: diagnosis.kind}
    incident = incident.model_copy(update={"cameras": cameras, "last_alarm_at": at})
    actions: list[Action] = []
    if diagnosis.resized:
        incident = incident.model_copy(update={"resized": (*incident.resized, camera)})
    if diagnosis.ticket:
        incident, actions = _ticketed(incident, camera, diagnosis)
    if diagnosis.kind is Kind.PRODUCT:
        mistaken = [
            name for name in diagnosis.siblings if cameras.get(name) is Kind.SENSOR or name in incident.doubtful
        ]
        for name in mistaken:
            incident, more = as_product(incident, name, because("siblings-moved-too", siblings=called([camera])))
            actions += more
    incident, more = settled(incident, at, diagnosis.reason, settings)
    return incident, [*actions, *more]


def _ticketed(incident: Incident, camera: str, diagnosis: Diagnosis) -> Next:
    if camera in incident.tickets:
        return incident, []
    ticket = OpenTicket(
        incident_id=incident.incident_id, camera=camera, symptoms=diagnosis.symptoms, reason=diagnosis.reason
    )
    return incident.model_copy(update={"tickets": (*incident.tickets, camera)}), [ticket]


def as_product(incident: Incident, camera: str, reason: Reason) -> Next:
    """A SENSOR or doubtful camera that belongs to the product after all. Its labels count from now on; those that came
    before count too where they are the only ones."""
    own = incident.sensor_evidence.get(camera)
    evidence = own if own is not None and incident.evidence.labels == 0 else incident.evidence
    incident = incident.model_copy(
        update={
            "cameras": {**incident.cameras, camera: Kind.PRODUCT},
            "evidence": evidence,
            "sensor_evidence": {name: kept for name, kept in incident.sensor_evidence.items() if name != camera},
        }
    )
    return without_ticket(incident, camera, reason)


def as_sensor(incident: Incident, camera: str, facts: BundleFacts, settings: RuleSettings) -> Incident:
    """A doubtful camera that was ill itself. What labels said of it alone proves nothing of the product."""
    incident = incident.model_copy(update={"cameras": {**incident.cameras, camera: Kind.SENSOR}})
    if incident.leading:
        return incident
    kept = {**incident.sensor_evidence, camera: incident.evidence}
    return incident.model_copy(update={"sensor_evidence": kept, "evidence": no_evidence(facts, settings)})


def without_ticket(incident: Incident, camera: str, reason: Reason) -> Next:
    """The incident without the camera's ticket."""
    if camera not in incident.tickets:
        return incident, []
    tickets = tuple(name for name in incident.tickets if name != camera)
    close = CloseTicket(incident_id=incident.incident_id, camera=camera, reason=reason)
    return incident.model_copy(update={"tickets": tickets}), [close]


def settled(incident: Incident, at: Moment, reason: Reason, settings: RuleSettings) -> Next:
    """The incident in the phase that suits its cameras, after they changed."""
    if incident.leading and incident.phase in (Phase.SENSOR, Phase.PRIOR):
        incident, actions = in_phase(incident, Phase.LABELS, at, reason)
        incident, more = ask(incident, _first(settings), at, because("labels-needed"))
        return incident, [*actions, *more]
    if not incident.leading:
        phase = Phase.PRIOR if incident.of_kind(Kind.PRIOR) else Phase.SENSOR
        return in_phase(incident, phase, at, reason)
    return incident, [changed(incident, reason)]


def _first(settings: RuleSettings) -> Images:
    """What a drift asks for at once."""
    return Images(
        random=settings.random_labels,
        atypical=settings.atypical_labels,
        unsure=settings.unsure_labels,
        overruled=settings.overruled_labels,
    )


def ask(incident: Incident, wanted: Images, at: Moment, reason: Reason) -> Next:
    """Ask the leading cameras for more images, in equal parts. Nobody may contradict any verdict: overruled ones are
    taken where there are some, and not waited for."""
    cameras = incident.leading
    if not cameras or wanted.total <= 0:
        return incident, []
    actions: list[Action] = [
        AskForLabels(
            incident_id=incident.incident_id,
            camera=camera,
            random=_share(wanted.random, len(cameras), i),
            atypical=_share(wanted.atypical, len(cameras), i),
            unsure=_share(wanted.unsure, len(cameras), i),
            overruled=_share(wanted.overruled, len(cameras), i),
            since=incident.since,
            reason=reason,
        )
        for i, camera in enumerate(cameras)
    ]
    asked = incident.asked + wanted.total - wanted.overruled
    return incident.model_copy(update={"asked": asked, "asked_at": at}), actions


def _share(total: int, parts: int, i: int) -> int:
    return total // parts + (i < total % parts)


def labelled(incident: Incident, label: LabelSeen, facts: BundleFacts, settings: RuleSettings) -> Next:
    """The incident after one more label of a part of the drifted state. Labels of a SENSOR camera may prove its
    verdicts unsafe; they never count for a retrain."""
    kind = incident.cameras.get(label.camera)
    if kind is None or label.triggered_at < incident.since or label.bundle_hash != incident.bundle_hash:
        return incident, []
    if kind is not Kind.SENSOR:
        evidence = counted(incident.evidence, label, facts, settings)
        return incident.model_copy(update={"evidence": evidence}), []
    own = incident.sensor_evidence.get(label.camera) or no_evidence(facts, settings)
    own = counted(own, label, facts, settings)
    incident = incident.model_copy(update={"sensor_evidence": {**incident.sensor_evidence, label.camera: own}})
    proofs = harms(own, settings)
    return told_unsafe(incident, (label.camera,), proofs[0]) if proofs else (incident, [])


def told_unsafe(incident: Incident, cameras: tuple[str, ...], reason: Reason) -> Next:
    """Say once per camera that its verdicts are unsafe."""
    new = tuple(camera for camera in cameras if camera not in incident.told_unsafe)
    if not new:
        return incident, []
    incident = incident.model_copy(update={"told_unsafe": (*incident.told_unsafe, *new)})
    return incident, [VerdictsUnsafe(incident_id=incident.incident_id, cameras=new, reason=reason)]


def without_camera(incident: Incident, camera: str, at: Moment, reason: Reason, settings: RuleSettings) -> Next:
    """The incident without a camera that recovered; CLOSED where it was the last one."""
    incident, actions = without_ticket(incident, camera, reason)
    rest = {name: kind for name, kind in incident.cameras.items() if name != camera}
    if not rest:
        incident, more = closed(incident, at, reason.code, reason)
        return incident, [*actions, *more]
    led = bool(incident.leading)
    resized = tuple(name for name in incident.resized if name != camera)
    incident = incident.model_copy(update={"cameras": rest, "resized": resized})
    if led and not incident.leading:
        incident, more = settled(incident, at, reason, settings)
        return incident, [*actions, *more]
    return incident, [*actions, changed(incident, reason)]


def closed(incident: Incident, at: Moment, resolution: str, reason: Reason) -> Next:
    """The incident closed, its tickets with it."""
    actions: list[Action] = []
    for camera in incident.tickets:
        incident, more = without_ticket(incident, camera, reason)
        actions += more
    incident = incident.model_copy(update={"phase": Phase.CLOSED, "phase_since": at})
    close = CloseIncident(incident_id=incident.incident_id, resolution=resolution, reason=reason)
    return incident, [*actions, close]


def answers(incident: Incident) -> tuple[Answer, ...]:
    """What a person may say to it now: the buttons of its page."""
    allowed: list[Answer] = []
    if incident.of_kind(Kind.SENSOR) or (incident.doubtful and not incident.under_way):
        allowed += ["repaired", "permanent"]
    if incident.phase in (Phase.PRIOR, Phase.LABELS, Phase.HARMLESS):
        allowed.append("adopt")
    if incident.phase in (Phase.LABELS, Phase.HARMFUL, Phase.HARMLESS):
        allowed.append("retrain")
    return (*allowed, "close")
