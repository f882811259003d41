"""The timeline: everything that was decided or done, with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from monitor.store.rule_tables import EventRow

PAGE = 60


@dataclass(frozen=True)
class EventFilter:
    """Empty strings mean: all."""

    site: str = ""
    kind: str = ""
    agent: str = ""
    camera: str = ""


@dataclass(frozen=True)
class EventPage:
    """Newest first. `older`: pass it as `before` for the next page; None at the end."""

    events: tuple[EventRow, ...]
    older: int | None
    kinds: tuple[str, ...]
    sites: tuple[str, ...]


def events(session: Session, wanted: EventFilter, *, before: int | None = None) -> EventPage:
    """One page of the timeline."""
    query = select(EventRow).order_by(EventRow.id.desc()).limit(PAGE + 1)
    if wanted.site:
        query = query.where(EventRow.site == wanted.site)
    if wanted.kind:
        query = query.where(EventRow.kind == wanted.kind)
    if wanted.agent:
        query = query.where(EventRow.agent == wanted.agent)
    if wanted.camera:
        query = query.where(EventRow.camera == wanted.camera)
    if before is not None:
        query = query.where(EventRow.id < before)
    found = list(session.scalars(query))
    return EventPage(
        events=tuple(found[:PAGE]),
        older=found[PAGE - 1].id if len(found) > PAGE else None,
        kinds=tuple(session.scalars(select(EventRow.kind).distinct().order_by(EventRow.kind))),
        sites=tuple(session.scalars(select(EventRow.site).distinct().order_by(EventRow.site))),
    )
