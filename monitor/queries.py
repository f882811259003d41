"""What people and programs ask of the store, as plain JSON values. Reading only."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from monitor.releases import current_channel
from monitor.store.columns import Table
from monitor.store.label_tables import ImageRow, LabelRow, RatingRow
from monitor.store.rollout_tables import (
    BenchmarkRow,
    CandidateRow,
    ChangeRow,
    OrderRow,
    ReleaseRow,
    RetrainRow,
    ScoresRow,
    ThresholdsRow,
)
from monitor.store.rule_tables import CameraRow, EventRow, FleetRow, IncidentRow
from monitor.store.telemetry_tables import AgentRow, BootRow, PoisonRow, TombstoneRow, WindowRow


def fleet(session: Session) -> dict[str, Any]:
    """Sites with their channel, agents and cameras."""
    agents = session.scalars(select(AgentRow).order_by(AgentRow.site, AgentRow.agent)).all()
    cameras = session.scalars(select(CameraRow).order_by(CameraRow.camera, CameraRow.product)).all()
    listed = sorted({row.site for row in agents} | set(session.scalars(select(ReleaseRow.site))))
    return {
        "sites": [
            {
                "site": site,
                "channel": _channel(session, site),
                "agents": [
                    {**_row(agent), "cameras": [_row(c) for c in cameras if (c.site, c.agent) == (site, agent.agent)]}
                    for agent in agents
                    if agent.site == site
                ],
            }
            for site in listed
        ],
        "unreadable": [_row(row) for row in session.scalars(select(PoisonRow))],
    }


def camera(
    session: Session, *, site: str, agent: str, camera: str, product: str, windows: int
) -> dict[str, Any] | None:
    """One camera and its newest windows, oldest first; None when nothing is known of it."""
    row = session.get(CameraRow, (site, agent, camera, product))
    if row is None:
        return None
    newest = (
        select(WindowRow)
        .where(
            WindowRow.site == site,
            WindowRow.agent == agent,
            WindowRow.camera == camera,
            WindowRow.product == product,
        )
        .order_by(WindowRow.ended_at.desc(), WindowRow.message_id.desc())
        .limit(windows)
    )
    return {"camera": _row(row), "windows": [_row(window) for window in reversed(session.scalars(newest).all())]}


def releases(session: Session, *, site: str | None) -> dict[str, Any]:
    """Releases and candidates, newest first, with the reason of each."""
    numbered = select(ReleaseRow).order_by(ReleaseRow.created_at.desc(), ReleaseRow.number.desc())
    submitted = select(CandidateRow).order_by(CandidateRow.submitted_at.desc())
    if site is not None:
        numbered = numbered.where(ReleaseRow.site == site)
        submitted = submitted.where(CandidateRow.site == site)
    return {
        "releases": [_row(row) for row in session.scalars(numbered)],
        "candidates": [_row(row) for row in session.scalars(submitted)],
    }


def retrains(session: Session, *, site: str | None) -> dict[str, Any]:
    """Retrains, newest first."""
    query = select(RetrainRow).order_by(RetrainRow.requested_at.desc())
    if site is not None:
        query = query.where(RetrainRow.site == site)
    return {"retrains": [_row(row) for row in session.scalars(query)]}


def changes(session: Session, *, site: str) -> dict[str, Any]:
    """Every activation of a site, oldest first: a chain that `monitor.changes.altered` can check."""
    rows = session.scalars(select(ChangeRow).where(ChangeRow.site == site).order_by(ChangeRow.number))
    return {"site": site, "changes": [_row(row) for row in rows]}


def benchmarks(session: Session, *, site: str | None, bundle_hash: str | None, limit: int) -> dict[str, Any]:
    """Figures of bundles on devices and the orders for them, the newest `limit` of each, newest first."""
    kept = select(BenchmarkRow).order_by(BenchmarkRow.received_at.desc()).limit(limit)
    orders = select(OrderRow).where(OrderRow.kind == "benchmark").order_by(OrderRow.issued_at.desc()).limit(limit)
    if site is not None:
        kept, orders = kept.where(BenchmarkRow.site == site), orders.where(OrderRow.site == site)
    if bundle_hash is not None:
        kept = kept.where(BenchmarkRow.bundle_hash == bundle_hash)
        orders = orders.where(OrderRow.body["bundle_hash"].as_string() == bundle_hash)
    return {
        "benchmarks": [_row(row) for row in session.scalars(kept)],
        "orders": [_row(row) for row in session.scalars(orders)],
    }


def thresholds(session: Session, *, site: str | None, bundle_hash: str | None) -> dict[str, Any]:
    """Thresholds that were chosen, newest first, and the newest scores of each agent."""
    chosen = select(ThresholdsRow).order_by(ThresholdsRow.site, ThresholdsRow.number.desc())
    scores = select(ScoresRow).order_by(ScoresRow.received_at.desc())
    if site is not None:
        chosen, scores = chosen.where(ThresholdsRow.site == site), scores.where(ScoresRow.site == site)
    if bundle_hash is not None:
        chosen = chosen.where(ThresholdsRow.bundle_hash == bundle_hash)
        scores = scores.where(ScoresRow.bundle_hash == bundle_hash)
    return {
        "thresholds": [_row(row) for row in session.scalars(chosen)],
        "scores": [_row(row) for row in session.scalars(scores)],
    }


def incidents(session: Session, *, site: str | None, state: str | None) -> dict[str, Any]:
    """Incidents, newest first, with the labels they have and wait for, and the minutes that people spent on them; and
    which of several sites have one cause."""
    query = select(IncidentRow).order_by(IncidentRow.opened_at.desc())
    if site is not None:
        query = query.where(IncidentRow.site == site)
    if state is not None:
        query = query.where(IncidentRow.state == state)
    rows = session.scalars(query).all()
    given = _counts(session, LabelRow.incident_id)
    asked = _counts(session, ImageRow.incident_id)
    spent = select(RatingRow.incident_id, func.sum(RatingRow.seconds)).group_by(RatingRow.incident_id)
    minutes = {name: round((seconds or 0.0) / 60.0, 2) for name, seconds in session.execute(spent)}
    return {
        "incidents": [
            {
                **_row(row),
                "labels": given.get(row.incident_id, 0),
                "images": asked.get(row.incident_id, 0),
                "person_minutes": minutes.get(row.incident_id, 0.0),
            }
            for row in rows
        ],
        "together": [
            _row(row)
            for row in session.scalars(select(FleetRow).where(FleetRow.state == "open"))
            if _concerns(row, site)
        ],
    }


def events(
    session: Session, *, after: int, limit: int, site: str | None, since: datetime | None = None
) -> dict[str, Any]:
    """The timeline, oldest first."""
    query = select(EventRow).where(EventRow.id > after).order_by(EventRow.id).limit(limit)
    if site is not None:
        query = query.where(EventRow.site == site)
    if since is not None:
        query = query.where(EventRow.at >= since)
    return {"events": [_row(row) for row in session.scalars(query)]}


def delivery(session: Session) -> list[dict[str, Any]]:
    """Per boot of an agent: acknowledged, worked through, and dropped by its outbox."""
    dropped = {
        (site, agent, boot): int(count)
        for site, agent, boot, count in session.execute(
            select(
                TombstoneRow.site,
                TombstoneRow.agent,
                TombstoneRow.boot,
                func.sum(TombstoneRow.last - TombstoneRow.first + 1),
            ).group_by(TombstoneRow.site, TombstoneRow.agent, TombstoneRow.boot)
        )
    }
    return [
        {**_row(row), "dropped": dropped.get((row.site, row.agent, row.boot), 0)}
        for row in session.scalars(select(BootRow))
    ]


def _concerns(row: FleetRow, site: str | None) -> bool:
    return site is None or site in row.body["members"].values()


def _channel(session: Session, site: str) -> dict[str, Any] | None:
    channel = current_channel(session, site)
    return channel.model_dump(mode="json") if channel is not None else None


def _counts(session: Session, column: Any) -> dict[str, int]:
    return {name: count for name, count in session.execute(select(column, func.count()).group_by(column)) if name}


def _row(row: Table) -> dict[str, Any]:
    values = {column.key: getattr(row, column.key) for column in row.__mapper__.column_attrs}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}
