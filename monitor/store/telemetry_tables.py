"""What agents reported: boots, messages, what was dropped, what could not be read, and windows as they were judged."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from monitor.store.columns import Table


class BootRow(Table):
    """One run of an agent's numbers: of a start, or of what was said after an outage. `contiguous`: everything up to it
    is committed (what is acknowledged). `processed`: the rules have seen everything up to it, moved in the same
    transaction as what they decided. `late`: a newer run has begun, what is left of this one tells what was."""

    __tablename__ = "boots"
    site: Mapped[str] = mapped_column(primary_key=True)
    agent: Mapped[str] = mapped_column(primary_key=True)
    boot: Mapped[str] = mapped_column(primary_key=True)
    contiguous: Mapped[int] = mapped_column(default=0)
    processed: Mapped[int] = mapped_column(default=0)
    late: Mapped[bool] = mapped_column(default=False)
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]


class MessageRow(Table):
    """One telemetry message, committed exactly once by (site, agent, boot, sequence). Ids are never used again."""

    __tablename__ = "messages"
    __table_args__ = (UniqueConstraint("site", "agent", "boot", "sequence"), {"sqlite_autoincrement": True})
    id: Mapped[int] = mapped_column(primary_key=True)
    site: Mapped[str]
    agent: Mapped[str]
    boot: Mapped[str]
    sequence: Mapped[int]
    kind: Mapped[str] = mapped_column(doc="birth, window, event, or unreadable")
    sent_at: Mapped[datetime]
    received_at: Mapped[datetime]
    body: Mapped[dict[str, Any]]


class TombstoneRow(Table):
    """Sequences `first`..`last` of a boot that the agent's outbox had to drop. `noted`: up to where the timeline says
    so (a tombstone can grow)."""

    __tablename__ = "tombstones"
    site: Mapped[str] = mapped_column(primary_key=True)
    agent: Mapped[str] = mapped_column(primary_key=True)
    boot: Mapped[str] = mapped_column(primary_key=True)
    first: Mapped[int] = mapped_column(primary_key=True)
    last: Mapped[int]
    noted: Mapped[int] = mapped_column(default=0)


class PoisonRow(Table):
    """Messages that could not be read: counted by reason, with the beginning of the last one."""

    __tablename__ = "poison"
    site: Mapped[str] = mapped_column(primary_key=True)
    agent: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(default=0)
    last_at: Mapped[datetime]
    sample: Mapped[str] = mapped_column(Text)


class AgentRow(Table):
    """The newest birth and status of an agent."""

    __tablename__ = "agents"
    site: Mapped[str] = mapped_column(primary_key=True)
    agent: Mapped[str] = mapped_column(primary_key=True)
    boot: Mapped[str | None]
    online: Mapped[bool] = mapped_column(default=False)
    status_at: Mapped[datetime | None]
    last_seen_at: Mapped[datetime]
    birth: Mapped[dict[str, Any] | None]
    bundle_hash: Mapped[str | None]
    release_number: Mapped[int | None]
    shadow_hash: Mapped[str | None]
    channel_sequence: Mapped[int] = mapped_column(default=0)
    audit_fraction: Mapped[float | None] = mapped_column(doc="what it was told; None: to be told again")


class WindowRow(Table):
    """One window as it was judged: sums of the agent, T2 and limit (None while learning), state after it."""

    __tablename__ = "windows"
    __table_args__ = (
        Index("ix_windows_camera", "site", "agent", "camera", "product", "ended_at"),
        Index("ix_windows_ended_at", "site", "ended_at"),
    )
    message_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    site: Mapped[str]
    agent: Mapped[str]
    camera: Mapped[str]
    product: Mapped[str]
    bundle_hash: Mapped[str]
    runtime: Mapped[str]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    first_frame: Mapped[int]
    last_frame: Mapped[int]
    images: Mapped[int]
    dropped_images: Mapped[int] = mapped_column(default=0)
    decisions: Mapped[dict[str, Any]]
    labels: Mapped[dict[str, Any]]
    latency_seconds_sum: Mapped[float]
    t2: Mapped[float | None]
    limit: Mapped[float | None]
    contributions: Mapped[dict[str, Any] | None] = mapped_column(doc="share of T2 by group, 0..1")
    state: Mapped[str]
    shadow: Mapped[dict[str, Any] | None]
