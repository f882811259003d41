"""Images that agents handed over for labelling, the queue that raters see, and what they said.

A rater sees the image and the classes, never the verdict. A part is asked for and counted once. Of the random labels a
fixed share, chosen by the part's name alone, is kept for the gate and never trained on.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, select
from sqlalchemy.orm import Session

from contracts.frame import OutcomeSource
from contracts.telemetry import OutcomeReport
from contracts.upload import ImageUpload
from monitor.store.label_tables import ImageRow, LabelRow
from monitor.store.rollout_tables import OrderRow

RANDOM_SOURCES = (OutcomeSource.AUDIT.value, OutcomeSource.DRIFT_SAMPLE.value)
LABELS_CURSOR = "labels"


class AlreadyLabelled(Exception):
    """Somebody was faster: the first answer stands."""


class QuestionExpired(Exception):
    """The image is no longer asked about."""


@dataclass(frozen=True)
class Question:
    """What a rater sees. Nothing here tells what the model thought."""

    image_id: str
    part_id: str
    site: str
    camera: str
    product: str
    triggered_at: datetime


def is_for_gate(site: str, part_id: str, *, fraction: float) -> bool:
    """Whether a random label of this part is kept for the gate; depends on nothing but the part's name.

    >>> sum(is_for_gate("mono", f"part-{n}", fraction=0.25) for n in range(4000))
    1005
    """
    digest = hashlib.sha256(f"{site}/{part_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64


def is_known(session: Session, upload: ImageUpload) -> bool:
    """Whether this part was asked about before."""
    part_id = upload.verdict.frame.part_id
    known = select(ImageRow.image_id).where(ImageRow.site == upload.site, ImageRow.part_id == part_id)
    return session.scalar(known) is not None


def accept_image(
    session: Session, upload: ImageUpload, *, blob: str, size_bytes: int, media_type: str, at: datetime
) -> str | None:
    """Queue an image for labelling; returns its id, or None when this part was asked about before."""
    frame = upload.verdict.frame
    if is_known(session, upload):
        return None
    order = session.get(OrderRow, upload.order_id) if upload.order_id else None
    if order is not None and (order.site, order.agent) != (upload.site, upload.agent):
        order = None
    image_id = secrets.token_hex(8)
    session.add(
        ImageRow(
            image_id=image_id,
            site=upload.site,
            agent=upload.agent,
            camera=frame.camera,
            product=frame.product,
            part_id=frame.part_id,
            order_id=upload.order_id,
            incident_id=order.incident_id if order else None,
            source=upload.source.value,
            verdict=upload.verdict.model_dump(mode="json"),
            bundle_hash=upload.verdict.bundle_hash,
            blob=blob,
            bytes=size_bytes,
            media_type=media_type,
            triggered_at=frame.triggered_at,
            received_at=at,
            state="queued",
        )
    )
    return image_id


def queue(session: Session, *, limit: int, site: str | None = None) -> list[Question]:
    """What to ask next: random images after a drift, then the audit, then unusual ones; oldest first."""
    urgency = case(
        (ImageRow.source == OutcomeSource.DRIFT_SAMPLE.value, 0),
        (ImageRow.source == OutcomeSource.AUDIT.value, 1),
        else_=2,
    )
    query = select(ImageRow).where(ImageRow.state == "queued")
    if site is not None:
        query = query.where(ImageRow.site == site)
    rows = session.scalars(query.order_by(urgency, ImageRow.received_at, ImageRow.image_id).limit(limit))
    return [Question(row.image_id, row.part_id, row.site, row.camera, row.product, row.triggered_at) for row in rows]


def answer(session: Session, *, image_id: str, label: str, rater: str, at: datetime, gate_fraction: float) -> LabelRow:
    """Record what a rater said about an image.

    Raises KeyError for an unknown image, AlreadyLabelled, QuestionExpired.
    """
    image = session.get(ImageRow, image_id)
    if image is None:
        raise KeyError(image_id)
    if image.state == "labelled":
        raise AlreadyLabelled(f"image {image_id} has its label already")
    if image.state != "queued":
        raise QuestionExpired(f"image {image_id} is no longer asked about")
    image.state = "labelled"
    gate = image.source in RANDOM_SOURCES and is_for_gate(image.site, image.part_id, fraction=gate_fraction)
    row = LabelRow(
        site=image.site,
        agent=image.agent,
        camera=image.camera,
        product=image.product,
        part_id=image.part_id,
        image_id=image_id,
        incident_id=image.incident_id,
        label=label,
        source=image.source,
        rater=rater,
        use="gate" if gate else "train",
        bundle_hash=image.bundle_hash,
        decision=image.verdict["decision"],
        predicted=image.verdict["label"],
        triggered_at=image.triggered_at,
        decided_at=at,
        received_at=at,
    )
    session.add(row)
    session.flush()
    return row


def record_outcome(session: Session, report: OutcomeReport, *, site: str, agent: str, at: datetime) -> LabelRow | None:
    """Record what the line found out by itself (operator, end of line); None where the same source said it before.

    Such labels are found by looking, so they are no random draw; without an image nothing can be trained on them.
    """
    outcome = report.outcome
    known = select(LabelRow.id).where(
        LabelRow.site == site, LabelRow.part_id == outcome.part_id, LabelRow.source == outcome.source.value
    )
    if session.scalar(known) is not None:
        return None
    row = LabelRow(
        site=site,
        agent=agent,
        camera=report.camera,
        product=report.product,
        part_id=outcome.part_id,
        label=outcome.label,
        source=outcome.source.value,
        rater=outcome.rater,
        use="none",
        bundle_hash=report.bundle_hash,
        decision=report.decision.value,
        predicted=report.label,
        triggered_at=report.triggered_at,
        decided_at=outcome.decided_at,
        received_at=at,
    )
    session.add(row)
    session.flush()
    return row


def expire_images(session: Session, *, incident_id: str) -> int:
    """Ask no more about the images of an incident that is over; returns how many questions that ends."""
    rows = session.scalars(
        select(ImageRow).where(ImageRow.incident_id == incident_id, ImageRow.state == "queued")
    ).all()
    for row in rows:
        row.state = "expired"
    return len(rows)


def labels_for_training(session: Session, *, site: str) -> Sequence[tuple[LabelRow, ImageRow]]:
    """All labels of the site's model with an image, oldest first; `use` says train or gate."""
    rows = session.execute(
        select(LabelRow, ImageRow)
        .join(ImageRow, ImageRow.image_id == LabelRow.image_id)
        .where(LabelRow.site == site)
        .order_by(LabelRow.id)
    )
    return [(label, image) for label, image in rows]
