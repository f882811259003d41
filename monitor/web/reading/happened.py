"""What happened on each day, in its order: profiles learned, drifts and what they were taken for with pictures of
before and after, releases, retrains, and days whose labels do not fit their images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from monitor.label_check import found_last
from monitor.store.label_tables import ImageRow
from monitor.store.rule_tables import EventRow, IncidentRow
from monitor.store.telemetry_tables import AgentRow, WindowRow

MOST = 12  # lines of one day; the timeline has all
PICTURES_SHOWN = 3
_PHASES = ("commissioned", "profile-known", "drift", "slow-drift", "past-drift", "past-slow-drift")
_KINDS = ("incident", "unsafe")
_CODES = ("candidate.promoted", "release.rolled-back", "release.withdrawn", "camera.fault", "retrain.done")

Place = tuple[str, str]  # agent, camera


@dataclass(frozen=True)
class Line:
    """One thing that happened. `event` tells it in words; `finding`, of a check of the labels, where there is no event
    of that day. `before` and `after` are pictures of the cameras that it is about, newest first."""

    site: str
    at: datetime | None = None
    event: EventRow | None = None
    finding: Mapping[str, Any] | None = None
    diagnosis: str | None = None
    symptoms: tuple[str, ...] = ()
    before: tuple[ImageRow, ...] = ()
    after: tuple[ImageRow, ...] = ()


@dataclass(frozen=True)
class DayStory:
    """The lines of one day, and how many more the timeline has."""

    lines: tuple[Line, ...] = ()
    more: int = 0


def happened(session: Session, *, most: int, now: datetime) -> dict[date, DayStory]:
    """The last `most` days (UTC, by the clock of the frames) on which something did."""
    today = now.astimezone(UTC).date()
    first = today - timedelta(days=most - 1)
    found: dict[date, list[EventRow]] = defaultdict(list)
    for event in _events(session, since=datetime.combine(first, time(), UTC)):
        found[event.at.astimezone(UTC).date()].append(event)
    stories = {day: _story(session, events) for day, events in found.items()}
    for site in session.scalars(select(AgentRow.site).distinct()).all():
        for day, line in _odd_days(session, site):
            if first <= day <= today:
                story = stories.get(day, DayStory())
                stories[day] = DayStory((*story.lines, line), story.more)
    return stories


def _events(session: Session, *, since: datetime) -> Sequence[EventRow]:
    what = EventRow.parameters["what"].as_string()
    telling: ColumnElement[bool] = or_(  # each by an index of its own: a long timeline is mostly other lines
        EventRow.code.in_((*_PHASES, *_CODES)),
        EventRow.kind.in_(_KINDS),
        and_(EventRow.kind == "ticket", what == "opened"),
        and_(EventRow.kind == "retrain", what == "ordered"),
    )
    query = select(EventRow).where(telling, EventRow.at >= since)
    return session.scalars(query.order_by(EventRow.at, EventRow.id)).all()


def _story(session: Session, events: Sequence[EventRow]) -> DayStory:
    """Of many events those that say most: what nobody has to act on goes first. A ticket that was opened with its
    incident is told with it."""
    opened = {(event.incident_id, event.at) for event in events if event.kind == "incident"}
    events = [event for event in events if event.kind != "ticket" or (event.incident_id, event.at) not in opened]
    kept = sorted(events, key=lambda event: event.kind == "phase")[:MOST]
    lines = tuple(_line(session, event) for event in events if event in kept)
    return DayStory(lines, len(events) - len(lines))


def _line(session: Session, event: EventRow) -> Line:
    diagnosis = event.parameters.get("diagnosis", "sensor" if event.kind == "ticket" else None)
    if event.kind not in ("incident", "ticket") or diagnosis is None:
        return Line(event.site, event.at, event)
    before, after = _pictures(session, event)
    return Line(event.site, event.at, event, None, diagnosis, _symptoms(session, event), before, after)


def _symptoms(session: Session, event: EventRow) -> tuple[str, ...]:
    """What the tickets say that were opened with it."""
    tickets = session.scalars(
        select(EventRow).where(
            EventRow.kind == "ticket", EventRow.incident_id == event.incident_id, EventRow.at == event.at
        )
    )
    return tuple(sorted({symptom for ticket in tickets for symptom in ticket.parameters.get("symptoms", ())}))


def _pictures(session: Session, event: EventRow) -> tuple[tuple[ImageRow, ...], tuple[ImageRow, ...]]:
    """(before, after) the cameras of an incident left their normal state."""
    row = session.get(IncidentRow, event.incident_id)
    named = event.parameters.get("cameras") or (row.cameras if row is not None else ())
    return around(session, event.site, places(named), event.at)


def around(
    session: Session, site: str, cameras: Collection[Place], at: datetime, *, most: int = PICTURES_SHOWN
) -> tuple[tuple[ImageRow, ...], tuple[ImageRow, ...]]:
    """Pictures of these cameras from before the drift that they are in at that moment, and from then on; newest
    first."""
    onset = _onset(session, site, cameras, at)
    if onset is None:
        return (), ()
    shown = (
        select(ImageRow)
        .where(ImageRow.site == site, ImageRow.state != "deleted", _of(ImageRow, cameras))
        .order_by(ImageRow.triggered_at.desc())
        .limit(most)
    )
    before = session.scalars(shown.where(ImageRow.triggered_at < onset))
    after = session.scalars(shown.where(ImageRow.triggered_at >= onset, ImageRow.triggered_at <= at))
    return tuple(before), tuple(after)


def _onset(session: Session, site: str, cameras: Collection[Place], at: datetime) -> datetime | None:
    """Start of the first window that was over its limit, of those that raised the drift; None where nothing tells."""
    if not cameras:
        return None
    phases = select(EventRow).where(EventRow.site == site, EventRow.kind == "phase", _of(EventRow, cameras))
    raised = phases.where(EventRow.at <= at).order_by(EventRow.at.desc(), EventRow.id.desc()).limit(1)
    for codes in (("over-limit",), ("drift", "slow-drift")):
        event = session.scalars(raised.where(EventRow.code.in_(codes))).first()
        if event is not None:
            window = select(WindowRow.started_at).where(WindowRow.site == site, WindowRow.ended_at == event.at)
            return session.scalars(window.where(WindowRow.camera == event.camera)).first() or event.at
    return None


def _of(table: type[ImageRow | EventRow], cameras: Collection[Place]) -> ColumnElement[bool]:
    return or_(*(and_(table.agent == agent, table.camera == camera) for agent, camera in cameras))


def places(cameras: Collection[str]) -> set[Place]:
    """(agent, camera) of cameras as the rules call them, with their product or without."""
    return {(agent, camera) for agent, camera, *_ in (name.split("/") for name in cameras)}


def _odd_days(session: Session, site: str) -> list[tuple[date, Line]]:
    """Days whose labels do not fit their images, by the newest check of the labels."""
    last = found_last(session, site)
    found = []
    for day in [] if last is None else last.parameters["days"]:
        rows = [session.get(ImageRow, image_id) for image_id in day["shown"][:PICTURES_SHOWN]]
        images = tuple(row for row in rows if row is not None and row.state != "deleted")
        found.append((date.fromisoformat(day["day"]), Line(site, finding=day, after=images)))
    return found
