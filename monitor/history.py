"""What happened to a site's model, as the store remembers it, in the form in which the rules were told."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts.bundle import Manifest
from contracts.frame import Decision, OutcomeSource
from contracts.telemetry import Birth, Window
from monitor.rulebook import camera_name
from monitor.rules.facts import facts_of
from monitor.rules.happening import CandidateMoved, Happening, LabelSeen, PersonSaid, ReleaseServed, WindowSeen
from monitor.rules.model import ModelState
from monitor.rules.reason import Reason
from monitor.rules.settings import RuleSettings
from monitor.store.label_tables import LabelRow
from monitor.store.rollout_tables import BundleRow, ChangeRow, ReleaseRow
from monitor.store.rule_tables import EventRow, IncidentRow, ModelRow
from monitor.store.telemetry_tables import BootRow, MessageRow

_STAGES = {
    "retrain.started": "training",
    "retrain.failed": "failed",
    "retrain.cancelled": "failed",
    "candidate.shadow": "shadow",
    "candidate.refused": "refused",
    "candidate.promoted": "promoted",
}
_PERSON = ("repaired", "permanent", "adopt", "retrain", "close")
_Recorded = tuple[datetime, int, Happening]


def first_state(session: Session, site: str, *, since: datetime) -> ModelState:
    """A model without memory, whose next incident gets the name that it got then: what people said is about names."""
    row = session.get(ModelRow, site)
    product = row.state["product"] if row is not None else "default"
    earlier = select(IncidentRow.incident_id).where(IncidentRow.site == site, IncidentRow.opened_at < since)
    numbers = [name.rpartition(".")[2] for name in session.scalars(earlier)]
    return ModelState(site=site, product=product, opened=max((int(n) for n in numbers if n.isdigit()), default=0))


def happenings(session: Session, site: str, *, since: datetime, settings: RuleSettings) -> Iterator[Happening]:
    """Everything since then, in the order in which the monitor came to know it. Each is told at the site's clock: the
    end of the newest window, and what has passed since that came in. `settings`: what a release is held to."""
    parts = (
        _releases(session, site, since, settings),
        _windows(session, site, since),
        _labels(session, site, since),
        _events(session, site, since),
    )
    clock: datetime | None = None
    known_at: datetime | None = None
    for recorded_at, _, happening in heapq.merge(*parts, key=lambda item: item[:2]):
        if isinstance(happening, WindowSeen):
            if clock is None or happening.at > clock:
                clock, known_at = happening.at, recorded_at
            yield happening
        elif clock is None or known_at is None:
            yield happening
        else:
            yield happening.model_copy(update={"at": clock + max(recorded_at - known_at, timedelta())})


def _releases(session: Session, site: str, since: datetime, settings: RuleSettings) -> Iterator[_Recorded]:
    """Activations, those that stood at `since` included. Releases of before there were change records count from when
    they were activated."""
    rows = session.scalars(select(ChangeRow).where(ChangeRow.site == site).order_by(ChangeRow.number)).all()
    known = {row.release for row in rows}
    served = [(row.recorded_at, row.release, row.bundle_hash, (row.body["replaces"] or {}), row.at) for row in rows]
    for release in session.scalars(select(ReleaseRow).where(ReleaseRow.site == site)):
        if release.activated_at is not None and release.number not in known:
            served.append((release.activated_at, release.number, release.bundle_hash, {}, release.activated_at))
    served.sort(key=lambda item: item[:2])
    before = [item for item in served if item[0] < since][-1:]
    for recorded_at, number, bundle_hash, replaces, at in (*before, *(item for item in served if item[0] >= since)):
        bundle = session.get(BundleRow, bundle_hash)
        if bundle is None:
            continue
        facts = facts_of(
            Manifest.model_validate(bundle.manifest),
            bundle_hash,
            number=number,
            activated_at=at,
            previous=replaces.get("bundle_hash"),
            settings=settings,
        )
        yield max(recorded_at, since), 0, ReleaseServed(at=at, facts=facts)


def _windows(session: Session, site: str, since: datetime) -> Iterator[_Recorded]:
    lines: dict[tuple[str, str], str] = {}
    late = session.scalars(select(BootRow).where(BootRow.site == site, BootRow.late))
    overtaken = {(row.agent, row.boot) for row in late}
    query = select(MessageRow).where(MessageRow.site == site, MessageRow.kind.in_(("birth", "window")))
    rows = session.scalars(query.where(MessageRow.received_at >= since).order_by(MessageRow.received_at, MessageRow.id))
    for row in rows.yield_per(500):
        if row.kind == "birth":
            lines |= {(row.agent, item.camera): item.line for item in Birth.model_validate(row.body).cameras}
            continue
        window = Window.model_validate(row.body)
        line = lines.get((row.agent, window.camera), "line-1")
        seen = WindowSeen(
            at=window.ended_at,
            camera=camera_name(row.agent, window.camera, window.product),
            line=f"{line}/{window.product}",
            window=window,
            late=(row.agent, row.boot) in overtaken,
        )
        yield row.received_at, 1, seen


def _labels(session: Session, site: str, since: datetime) -> Iterator[_Recorded]:
    rows = session.scalars(
        select(LabelRow).where(LabelRow.site == site, LabelRow.received_at >= since).order_by(LabelRow.received_at)
    )
    for row in rows.yield_per(500):
        label = LabelSeen(
            at=row.received_at,
            camera=camera_name(row.agent, row.camera, row.product),
            part_id=row.part_id,
            label=row.label,
            source=OutcomeSource(row.source),
            decision=Decision(row.decision),
            bundle_hash=row.bundle_hash,
            triggered_at=row.triggered_at,
        )
        yield row.received_at, 2, label


def _events(session: Session, site: str, since: datetime) -> Iterator[_Recorded]:
    """What people said to incidents, and what became of retrains that incidents had ordered."""
    rows = session.scalars(
        select(EventRow)
        .where(EventRow.site == site, EventRow.recorded_at >= since, EventRow.incident_id.is_not(None))
        .where(EventRow.code.in_((*_STAGES, *(f"person.{said}" for said in _PERSON))))
        .order_by(EventRow.recorded_at)
    )
    for row in rows:
        told = _told(row)
        if told is not None:
            yield row.recorded_at, 3, told


def _told(row: EventRow) -> Happening | None:
    if row.incident_id is None:
        return None
    if row.kind == "person":
        said = row.code.partition(".")[2]
        who = str(row.parameters.get("by", "somebody"))
        return PersonSaid.model_validate({"at": row.at, "incident_id": row.incident_id, "said": said, "who": who})
    reason = Reason(code=row.code, parameters={"why": row.text[:300]})
    return CandidateMoved.model_validate(
        {
            "at": row.at,
            "incident_id": row.incident_id,
            "stage": _STAGES[row.code],
            "bundle_hash": row.bundle_hash,
            "reason": reason,
        }
    )
