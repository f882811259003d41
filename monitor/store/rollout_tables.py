"""Orders, retrains, candidates, bundles with their figures, releases, channels and gold sets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from monitor.store.columns import Table


class OrderRow(Table):
    """An order for one agent: written with the decision that caused it, sent again until done, failed or expired."""

    __tablename__ = "orders"
    __table_args__ = (Index("ix_orders_state", "state", "last_sent_at"),)
    order_id: Mapped[str] = mapped_column(primary_key=True)
    site: Mapped[str]
    agent: Mapped[str]
    kind: Mapped[str]
    body: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(default="open", doc="open, done, failed, expired or cancelled")
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    sends: Mapped[int] = mapped_column(default=0)
    last_sent_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(Text)
    incident_id: Mapped[str | None]


class RetrainRow(Table):
    """One retrain. `state`: queued, running, done, failed, cancelled. `process` recognises our own child after a
    restart; one that is tried again waits until `retry_at`."""

    __tablename__ = "retrains"
    __table_args__ = (Index("ix_retrains_state", "state"),)
    order_id: Mapped[str] = mapped_column(primary_key=True)
    site: Mapped[str]
    product: Mapped[str]
    incident_id: Mapped[str | None]
    parent_bundle: Mapped[str]
    body: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(default="queued")
    attempts: Mapped[int] = mapped_column(default=0)
    process: Mapped[dict[str, Any] | None]
    progress: Mapped[str | None] = mapped_column(Text, doc="the newest line")
    requested_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    labels: Mapped[int] = mapped_column(default=0, doc="rows handed to the trainer")
    result: Mapped[str | None] = mapped_column(Text, doc="bundle hash, or why it failed")
    retry_at: Mapped[datetime | None]
    peak_bytes: Mapped[int | None] = mapped_column(BigInteger, doc="most memory that its processes held together")


class CandidateRow(Table):
    """A bundle on its way. `state`: submitted, waiting (for a person), replaying, shadowing, approving, promoted,
    refused, withdrawn."""

    __tablename__ = "candidates"
    __table_args__ = (Index("ix_candidates_state", "site", "state"),)
    candidate_id: Mapped[str] = mapped_column(primary_key=True)
    site: Mapped[str]
    product: Mapped[str]
    bundle_hash: Mapped[str]
    origin: Mapped[str] = mapped_column(doc="first, retrain or hand")
    reason: Mapped[str] = mapped_column(Text)
    submitted_by: Mapped[str]
    submitted_at: Mapped[datetime]
    state: Mapped[str]
    order_id: Mapped[str | None]
    incident_id: Mapped[str | None]
    parent_bundle: Mapped[str | None] = mapped_column(doc="active when it was judged")
    gate: Mapped[dict[str, Any] | None]
    shadow: Mapped[dict[str, Any] | None]
    approvals: Mapped[list[Any]]
    release_number: Mapped[int | None]
    closed_at: Mapped[datetime | None]
    closing: Mapped[str | None] = mapped_column(Text, doc="why it was promoted, refused or withdrawn")


class BundleRow(Table):
    """A stored bundle (its files lie under `bundles/HASH` and never change)."""

    __tablename__ = "bundles"
    bundle_hash: Mapped[str] = mapped_column(primary_key=True)
    site: Mapped[str]
    product: Mapped[str]
    manifest: Mapped[dict[str, Any]]
    stored_at: Mapped[datetime]


class BenchmarkRow(Table):
    """What one device found out about a bundle (`contracts.figures.Figures`). From an agent, on an order, under the
    order's id; or submitted by a person (`by`), then without an agent."""

    __tablename__ = "benchmarks"
    __table_args__ = (Index("ix_benchmarks_bundle", "site", "bundle_hash"),)
    benchmark_id: Mapped[str] = mapped_column(primary_key=True)
    site: Mapped[str]
    bundle_hash: Mapped[str]
    device_class: Mapped[str]
    agent: Mapped[str | None]
    by: Mapped[str | None]
    measured_at: Mapped[datetime] = mapped_column(doc="clock of the device")
    received_at: Mapped[datetime]
    figures: Mapped[dict[str, Any]]


class ScoresRow(Table):
    """How the defect scores of one bundle and product lie on one agent (`contracts.scores.Scores`), on an order, under
    the order's id."""

    __tablename__ = "scores"
    __table_args__ = (Index("ix_scores_bundle", "site", "bundle_hash", "product"),)
    order_id: Mapped[str] = mapped_column(primary_key=True)
    site: Mapped[str]
    agent: Mapped[str]
    bundle_hash: Mapped[str]
    product: Mapped[str]
    received_at: Mapped[datetime]
    body: Mapped[dict[str, Any]]


class ThresholdsRow(Table):
    """Thresholds that a person chose (`contracts.thresholds.SignedThresholds`); they stand until `ended_at`.
    `replaces`: the number that stood before them for the same bundle and product."""

    __tablename__ = "thresholds"
    __table_args__ = (Index("ix_thresholds_bundle", "site", "bundle_hash"),)
    site: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    bundle_hash: Mapped[str]
    product: Mapped[str | None]
    thresholds: Mapped[dict[str, Any]]
    reason: Mapped[str] = mapped_column(Text)
    by: Mapped[str]
    at: Mapped[datetime]
    seen: Mapped[dict[str, Any] | None] = mapped_column(doc="what the preview said; None: chosen without one")
    replaces: Mapped[int | None]
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str | None]
    ending: Mapped[str | None] = mapped_column(Text)


class ReleaseRow(Table):
    """A bundle that the gate let through, by the number people call it. `state`: shadow, active, superseded,
    refused, withdrawn."""

    __tablename__ = "releases"
    site: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    product: Mapped[str]
    bundle_hash: Mapped[str]
    candidate_id: Mapped[str | None]
    state: Mapped[str]
    reason: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    activated_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class ChannelRow(Table):
    """A channel document. Written with the decision; signed and published afterwards (`published_at`)."""

    __tablename__ = "channels"
    site: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    published_at: Mapped[datetime | None]


class RefusedRow(Table):
    """A bundle that no agent of the site may run again."""

    __tablename__ = "refused"
    site: Mapped[str] = mapped_column(primary_key=True)
    bundle_hash: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]


class ChangeRow(Table):
    """What came into service, why and on which evidence: one for each activation, never changed (a trigger of the
    database refuses it). `sha256` is over `previous_sha256` and `body` (see `monitor.change`)."""

    __tablename__ = "changes"
    site: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    release: Mapped[int]
    bundle_hash: Mapped[str]
    at: Mapped[datetime] = mapped_column(doc="clock of the frames")
    recorded_at: Mapped[datetime] = mapped_column(doc="clock of the monitor")
    body: Mapped[dict[str, Any]]
    previous_sha256: Mapped[str]
    sha256: Mapped[str]


class GoldRow(Table):
    """A pinned gold set. The highest version counts; a person's replacement is a new version with a reason."""

    __tablename__ = "gold_sets"
    site: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    csv: Mapped[str] = mapped_column(Text, doc="path of the manifest as it was given")
    examples: Mapped[list[Any]] = mapped_column(doc="[path, label, sha256] of each image")
    base_snapshot: Mapped[str | None]
    by: Mapped[str]
    reason: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]
