"""Incidents in plain words, with what was found and what is being done."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from monitor.store.label_tables import ImageRow, LabelRow
from monitor.store.rule_tables import CameraRow, EventRow, IncidentRow
from monitor.web.reading.fleet import CameraKey

EVENTS_SHOWN = 12
CLOSED_SHOWN = 30


@dataclass(frozen=True)
class Incident:
    """One incident with its latest events (newest first) and how far its labels are."""

    row: IncidentRow
    events: tuple[EventRow, ...]
    labelled: int
    queued: int
    pages: tuple[tuple[str, str | None], ...]
    """(`agent/camera`, path of its page)."""

    @property
    def answers(self) -> tuple[str, ...]:
        """What a person may say to it now, the likeliest first; the rules say which."""
        return tuple(self.row.details.get("answers", ()))


def incidents(session: Session) -> tuple[list[Incident], list[Incident]]:
    """(open, recently closed), newest first."""
    query = select(IncidentRow).order_by(IncidentRow.opened_at.desc())
    waiting = session.scalars(query.where(IncidentRow.state == "open"))
    closed = session.scalars(query.where(IncidentRow.state != "open").limit(CLOSED_SHOWN))
    return [_incident(session, row) for row in waiting], [_incident(session, row) for row in closed]


def incidents_of(session: Session, key: CameraKey) -> list[IncidentRow]:
    """Open incidents that this camera is part of."""
    query = select(IncidentRow).where(IncidentRow.site == key.site, IncidentRow.state == "open")
    return [row for row in session.scalars(query) if f"{key.agent}/{key.camera}" in row.cameras]


def _incident(session: Session, row: IncidentRow) -> Incident:
    events = select(EventRow).where(EventRow.incident_id == row.incident_id).order_by(EventRow.id.desc())
    labelled = select(func.count()).where(LabelRow.incident_id == row.incident_id)
    queued = select(func.count()).where(ImageRow.incident_id == row.incident_id, ImageRow.state == "queued")
    return Incident(
        row=row,
        events=tuple(session.scalars(events.limit(EVENTS_SHOWN))),
        labelled=session.scalar(labelled) or 0,
        queued=session.scalar(queued) or 0,
        pages=tuple((name, _page_of(session, row.site, name)) for name in row.cameras),
    )


def _page_of(session: Session, site: str, name: str) -> str | None:
    agent, _, camera = name.partition("/")
    query = select(CameraRow).where(CameraRow.site == site, CameraRow.agent == agent, CameraRow.camera == camera)
    row = session.scalars(query.order_by(CameraRow.last_window_at.desc())).first()
    return f"/cameras/{site}/{name}/{row.product}" if row is not None else None
