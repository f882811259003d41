"""Images that agents uploaded for labelling, and what was said about parts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from monitor.store.columns import Table


class ImageRow(Table):
    """One uploaded image. `verdict` is hidden from raters. `state`: queued, second (has its label, and another person
    is asked), labelled, disputed (people could not agree), expired, deleted."""

    __tablename__ = "images"
    __table_args__ = (
        UniqueConstraint("site", "part_id"),
        Index("ix_images_state", "state", "received_at"),
    )
    image_id: Mapped[str] = mapped_column(primary_key=True)
    site: Mapped[str]
    agent: Mapped[str]
    camera: Mapped[str]
    product: Mapped[str]
    part_id: Mapped[str]
    order_id: Mapped[str | None]
    incident_id: Mapped[str | None]
    source: Mapped[str] = mapped_column(doc="audit, drift-sample (both random draws), or why it was picked")
    verdict: Mapped[dict[str, Any]]
    bundle_hash: Mapped[str | None]
    blob: Mapped[str] = mapped_column(doc="SHA-256 of the image's bytes")
    bytes: Mapped[int]
    media_type: Mapped[str]
    triggered_at: Mapped[datetime]
    received_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(default="queued")
    shown_at: Mapped[datetime | None]


class LabelRow(Table):
    """What counts about a part, once per part and source. `use`: train, gate (never trained on), none, waiting (a new
    class that one person alone has named: it counts for nothing yet) or disputed (people differ: nothing learns it)."""

    __tablename__ = "labels"
    __table_args__ = (
        UniqueConstraint("site", "part_id", "source"),
        Index("ix_labels_bundle", "site", "bundle_hash"),
        Index("ix_labels_class", "site", "use", "label"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    site: Mapped[str]
    agent: Mapped[str]
    camera: Mapped[str]
    product: Mapped[str]
    part_id: Mapped[str]
    image_id: Mapped[str | None]
    incident_id: Mapped[str | None]
    label: Mapped[str]
    source: Mapped[str]
    rater: Mapped[str] = mapped_column(doc="a pseudonym")
    use: Mapped[str]
    bundle_hash: Mapped[str | None] = mapped_column(doc="the bundle whose verdict is judged")
    decision: Mapped[str]
    predicted: Mapped[str | None]
    triggered_at: Mapped[datetime]
    decided_at: Mapped[datetime]
    received_at: Mapped[datetime]


class RatingRow(Table):
    """What one person said about an image, once. `seconds` from shown to answered, None where nobody measured."""

    __tablename__ = "ratings"
    __table_args__ = (
        UniqueConstraint("image_id", "rater"),
        Index("ix_ratings_share", "site", "incident_id", "given_at", "rater"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    site: Mapped[str]
    image_id: Mapped[str]
    incident_id: Mapped[str | None]
    rater: Mapped[str] = mapped_column(doc="a pseudonym")
    label: Mapped[str]
    seconds: Mapped[float | None]
    via: Mapped[str] = mapped_column(doc="page, program or label-studio")
    given_at: Mapped[datetime]
