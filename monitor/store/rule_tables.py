"""What the rules remember between two windows, and everything they decided."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from monitor.store.columns import Table


class CursorRow(Table):
    """How far a numbered stream (labels) has been worked through; moves in the transaction of its effects."""

    __tablename__ = "cursors"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(default=0)


class ProfileRow(Table):
    """Commissioning and profile of one bundle x camera x product x runtime. `profile` is None while learning."""

    __tablename__ = "profiles"
    site: Mapped[str] = mapped_column(primary_key=True)
    agent: Mapped[str] = mapped_column(primary_key=True)
    camera: Mapped[str] = mapped_column(primary_key=True)
    product: Mapped[str] = mapped_column(primary_key=True)
    bundle_hash: Mapped[str] = mapped_column(primary_key=True)
    runtime: Mapped[str] = mapped_column(primary_key=True)
    commissioning: Mapped[dict[str, Any]]
    profile: Mapped[dict[str, Any] | None]
    updated_at: Mapped[datetime]


class MachineRow(Table):
    """State machine and label evidence of one camera x product x bundle."""

    __tablename__ = "machines"
    site: Mapped[str] = mapped_column(primary_key=True)
    agent: Mapped[str] = mapped_column(primary_key=True)
    camera: Mapped[str] = mapped_column(primary_key=True)
    product: Mapped[str] = mapped_column(primary_key=True)
    bundle_hash: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    machine: Mapped[dict[str, Any]]
    incident_id: Mapped[str | None]
    updated_at: Mapped[datetime]


class IncidentRow(Table):
    """Something that needs a person or the machine: opened by drift or harm, closed with a resolution."""

    __tablename__ = "incidents"
    __table_args__ = (Index("ix_incidents_state", "site", "state"),)
    incident_id: Mapped[str] = mapped_column(primary_key=True)
    site: Mapped[str]
    product: Mapped[str]
    bundle_hash: Mapped[str]
    state: Mapped[str] = mapped_column(doc="open or closed")
    diagnosis: Mapped[str | None] = mapped_column(doc="sensor, prior, product, fault, labels")
    title: Mapped[str] = mapped_column(Text)
    cameras: Mapped[list[Any]] = mapped_column(doc="[agent, camera] pairs")
    details: Mapped[dict[str, Any]]
    opened_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    resolution: Mapped[str | None] = mapped_column(Text)


class EventRow(Table):
    """One line of the timeline: what was decided or done, when, why (code and parameters), in plain text."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_site", "site", "id"), Index("ix_events_kind", "kind"))
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
