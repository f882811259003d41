"""What the rules remember between two windows, and everything they decided."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from monitor.store.columns import Table


class ModelRow(Table):
    """What the rules remember of one site's model (see `rules.model`). `clock` is the newest frame time seen, and
    `clock_set_at` when that was, by the monitor's own clock."""

    __tablename__ = "models"
    site: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[dict[str, Any]]
    clock: Mapped[datetime]
    clock_set_at: Mapped[datetime]


class CameraRow(Table):
    """Where one camera x product stands, as of its last window: what pages and metrics show of the rules' memory."""

    __tablename__ = "cameras"
    site: Mapped[str] = mapped_column(primary_key=True)
    agent: Mapped[str] = mapped_column(primary_key=True)
    camera: Mapped[str] = mapped_column(primary_key=True)
    product: Mapped[str] = mapped_column(primary_key=True)
    bundle_hash: Mapped[str]
    runtime: Mapped[str]
    state: Mapped[str] = mapped_column(doc="phase of the rules, e.g. LEARNING, OK, SUSPECT")
    learned_windows: Mapped[int]
    windows_needed: Mapped[int]
    t2: Mapped[float | None]
    limit: Mapped[float | None]
    fault: Mapped[str | None] = mapped_column(doc="hard camera fault the agent reported and not yet taken back")
    incident_id: Mapped[str | None]
    windows: Mapped[int] = mapped_column(default=0)
    images: Mapped[int] = mapped_column(default=0)
    decisions: Mapped[dict[str, Any]]
    last_window_at: Mapped[datetime]


class IncidentRow(Table):
    """Something that needs a person or the machine: opened by drift or harm, closed with a resolution."""

    __tablename__ = "incidents"
    __table_args__ = (Index("ix_incidents_state", "site", "state"),)
    incident_id: Mapped[str] = mapped_column(primary_key=True)
    site: Mapped[str]
    bundle_hash: Mapped[str | None]
    state: Mapped[str] = mapped_column(doc="open or closed")
    phase: Mapped[str]
    diagnosis: Mapped[str] = mapped_column(doc="sensor, prior, product or labels")
    title: Mapped[str] = mapped_column(Text, doc="the newest reason in plain words")
    reason: Mapped[dict[str, Any]] = mapped_column(doc="the same as code and parameters")
    cameras: Mapped[list[Any]] = mapped_column(doc="`agent/camera` names")
    details: Mapped[dict[str, Any]] = mapped_column(doc="tickets, offers, holds, alerts: what a person may act on")
    opened_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    resolution: Mapped[str | None] = mapped_column(Text)


class FleetRow(Table):
    """Incidents of several sites with one cause (`rules.fleet.FleetIncident` in `body`)."""

    __tablename__ = "fleet_incidents"
    fleet_id: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(doc="open or closed")
    title: Mapped[str] = mapped_column(Text, doc="the newest reason in plain words")
    reason: Mapped[dict[str, Any]] = mapped_column(doc="the same as code and parameters")
    opened_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


class EventRow(Table):
    """One line of the timeline: what was decided or done, when, why (code and parameters), in plain text. Written once:
    triggers of the database refuse to change or delete a line."""

    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_site", "site", "id"),
        Index("ix_events_kind", "kind"),
        Index("ix_events_code", "code", "bundle_hash"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    site: Mapped[str]
    at: Mapped[datetime] = mapped_column(doc="clock of the frames")
    recorded_at: Mapped[datetime] = mapped_column(doc="clock of the monitor")
    kind: Mapped[str]
    code: Mapped[str]
    parameters: Mapped[dict[str, Any]]
    text: Mapped[str] = mapped_column(Text)
    agent: Mapped[str | None]
    camera: Mapped[str | None]
    product: Mapped[str | None]
    bundle_hash: Mapped[str | None]
    incident_id: Mapped[str | None]
    order_id: Mapped[str | None]
