"""Incidents in plain words, with what was found and what is being done."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from contracts.frame import PICKED_SOURCES
from monitor.rules.fleet import FleetIncident
from monitor.store.label_tables import ImageRow, LabelRow
from monitor.store.rule_tables import CameraRow, EventRow, FleetRow, IncidentRow
from monitor.web.reading.fleet import CameraKey
from monitor.web.reading.happened import around, places

EVENTS_SHOWN = 12
CLOSED_SHOWN = 30
PICTURES_SHOWN = 4


@dataclass(frozen=True)
class Pictures:
    """Of a site's incident: what it looks like now, the most unusual first, and what it looked like before."""

    site: str
    now: tuple[ImageRow, ...]
    before: tuple[ImageRow, ...]


@dataclass(frozen=True)
class Together:
    """Incidents of several sites with one cause, with pictures of each site."""

    row: FleetRow
    incident: FleetIncident
    pictures: tuple[Pictures, ...]


@dataclass(frozen=True)
class Incident:
    """One incident with its latest events (newest first) and how far its labels are."""

    row: IncidentRow
    events: tuple[EventRow, ...]
    labelled: int
    queued: int
    pages: tuple[tuple[str, str | None], ...]
    """(`agent/camera`, path of its page)."""
    pictures: Pictures
    together: str | None
    """The fleet incident that it is part of."""

    @property
    def answers(self) -> tuple[str, ...]:
        """What a person may say to it now, the likeliest first; the rules say which."""
        return tuple(self.row.details.get("answers", ()))


def incidents(session: Session) -> tuple[list[Incident], list[Incident]]:
    """(open, recently closed), newest first."""
    query = select(IncidentRow).order_by(IncidentRow.opened_at.desc())
    waiting = session.scalars(query.where(IncidentRow.state == "open")).all()
    closed = session.scalars(query.where(IncidentRow.state != "open").limit(CLOSED_SHOWN)).all()
    owners = {member: one.row.fleet_id for one in fleet_incidents(session) for member in one.incident.members}
    return [_incident(session, row, owners) for row in waiting], [_incident(session, row, owners) for row in closed]


def fleet_incidents(session: Session) -> list[Together]:
    """What several sites have in common now, newest first."""
    rows = session.scalars(select(FleetRow).where(FleetRow.state == "open").order_by(FleetRow.opened_at.desc())).all()
    return [_together(session, row) for row in rows]


def _together(session: Session, row: FleetRow) -> Together:
    incident = FleetIncident.model_validate(row.body)
    members = session.scalars(select(IncidentRow).where(IncidentRow.incident_id.in_(incident.members))).all()
    shown = tuple(_pictures(session, member) for member in sorted(members, key=lambda member: member.site))
    return Together(row=row, incident=incident, pictures=tuple(found for found in shown if found.now))


def _pictures(session: Session, row: IncidentRow) -> Pictures:
    """Those that were asked for because of it; where none were, as of a camera that is to be looked at, the others."""
    asked = _asked_for(session, row)
    if asked.now:
        return asked
    before, now = around(session, row.site, places(row.cameras), row.updated_at, most=PICTURES_SHOWN)
    return Pictures(row.site, now, before) if now else asked


def _asked_for(session: Session, row: IncidentRow) -> Pictures:
    unusual = case((ImageRow.source.in_([source.value for source in PICKED_SOURCES]), 0), else_=1)
    now = (
        select(ImageRow).where(ImageRow.incident_id == row.incident_id).order_by(unusual, ImageRow.triggered_at.desc())
    )
    agents, cameras = zip(*places(row.cameras), strict=True) if row.cameras else ((), ())
    before = (
        select(ImageRow)
        .where(ImageRow.site == row.site, ImageRow.triggered_at < row.opened_at, ImageRow.incident_id.is_(None))
        .where(ImageRow.agent.in_(agents), ImageRow.camera.in_(cameras))
        .order_by(ImageRow.triggered_at.desc())
    )
    return Pictures(
        site=row.site,
        now=tuple(session.scalars(now.limit(PICTURES_SHOWN))),
        before=tuple(session.scalars(before.limit(PICTURES_SHOWN))),
    )


def incidents_of(session: Session, key: CameraKey) -> list[IncidentRow]:
    """Open incidents that this camera is part of."""
    query = select(IncidentRow).where(IncidentRow.site == key.site, IncidentRow.state == "open")
    return [row for row in session.scalars(query) if (key.agent, key.camera) in places(row.cameras)]


def _incident(session: Session, row: IncidentRow, owners: dict[str, str]) -> Incident:
    events = select(EventRow).where(EventRow.incident_id == row.incident_id).order_by(EventRow.id.desc())
    labelled = select(func.count()).where(LabelRow.incident_id == row.incident_id)
    queued = select(func.count()).where(ImageRow.incident_id == row.incident_id, ImageRow.state == "queued")
    return Incident(
        row=row,
        events=tuple(session.scalars(events.limit(EVENTS_SHOWN))),
        labelled=session.scalar(labelled) or 0,
        queued=session.scalar(queued) or 0,
        pages=tuple(
            (f"{agent}/{camera}", _page_of(session, row.site, agent, camera))
            for agent, camera in sorted(places(row.cameras))
        ),
        pictures=_pictures(session, row),
        together=owners.get(row.incident_id),
    )


def _page_of(session: Session, site: str, agent: str, camera: str) -> str | None:
    query = select(CameraRow).where(CameraRow.site == site, CameraRow.agent == agent, CameraRow.camera == camera)
    row = session.scalars(query.order_by(CameraRow.last_window_at.desc())).first()
    return f"/cameras/{site}/{agent}/{camera}/{row.product}" if row is not None else None
