"""Images that agents handed over for labelling, the queue that raters see, and the labels that train or judge.

A rater sees the image and the classes, never the verdict. A part is asked for and counted once. Of the random labels a
fixed share, chosen by the part's name alone, is kept for the gate and never trained on.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, case, exists, func, select
from sqlalchemy.orm import Session

from contracts import frame
from contracts.frame import OutcomeSource
from contracts.upload import ImageUpload
from monitor.gold import pinned_blobs
from monitor.store.label_tables import ImageRow, LabelRow, RatingRow
from monitor.store.rollout_tables import OrderRow

RANDOM_SOURCES = tuple(sorted(source.value for source in frame.RANDOM_SOURCES))
"""As the rows have them."""
DISPUTED = "disputed"
"""`LabelRow.use` of a label on which people differ: nothing learns it, and nothing is judged by it."""


class AlreadyLabelled(Exception):
    """Somebody was faster: the first answer stands."""


class QuestionExpired(Exception):
    """The image is no longer asked about."""


class ShareReached(Exception):
    """This person has given as large a share of the labels as one may."""


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


def queue(
    session: Session,
    *,
    limit: int,
    site: str | None = None,
    rater: str | None = None,
    without: Collection[str | None] = (),
) -> list[Question]:
    """What to ask next, the most telling first: random images after a drift, the random audit, picked images, second
    opinions. Random ones come in the order of their arrival, whatever the model thought of them: a queue that is left
    unfinished must still be a random draw. Of picked ones those come first that somebody at the line judged otherwise,
    then those that the model was least sure of. `rater`: who asks, and is not asked twice. `without`: incidents that
    are not asked about, None for images of no incident.
    """
    query = _asked_of(rater, site).order_by(TURN, _OVERRULED, _SURE, ImageRow.received_at, ImageRow.image_id)
    if kept := [incident for incident in without if incident is not None]:
        query = query.where(ImageRow.incident_id.is_(None) | ImageRow.incident_id.not_in(kept))
    if None in without:
        query = query.where(ImageRow.incident_id.is_not(None))
    rows = session.scalars(query.limit(limit))
    return [Question(row.image_id, row.part_id, row.site, row.camera, row.product, row.triggered_at) for row in rows]


def waiting(session: Session, *, site: str | None = None, rater: str | None = None) -> int:
    """How many images wait for an answer (of this person)."""
    return session.scalar(select(func.count()).select_from(_asked_of(rater, site).subquery())) or 0


def _asked_of(rater: str | None, site: str | None) -> Select[ImageRow]:
    query = select(ImageRow).where(ImageRow.state.in_(("queued",) if rater is None else ("queued", "second")))
    if rater is not None:
        query = query.where(ImageRow.image_id.not_in(select(RatingRow.image_id).where(RatingRow.rater == rater)))
    return query if site is None else query.where(ImageRow.site == site)


_PICKED = ImageRow.source.not_in(RANDOM_SOURCES)
TURNS = ("drift", "audit", "picked", "second")
"""Whose turn it is in the queue: `TURN` is the place in this list."""
TURN = case(
    (ImageRow.state == "second", 3),
    (ImageRow.source == OutcomeSource.DRIFT_SAMPLE.value, 0),
    (ImageRow.source == OutcomeSource.AUDIT.value, 1),
    else_=2,
)
_OVERRULED = case(
    (
        (ImageRow.source == OutcomeSource.OVERRULED.value)
        | _PICKED
        & exists().where(
            LabelRow.site == ImageRow.site,
            LabelRow.part_id == ImageRow.part_id,
            LabelRow.source == OutcomeSource.OPERATOR.value,
            LabelRow.label != LabelRow.predicted,
        ),
        0,
    ),
    else_=1,
)
_SURE = case(
    (
        _PICKED,
        func.abs(
            ImageRow.verdict["defect_score"].as_float() - func.coalesce(ImageRow.verdict["threshold"].as_float(), 0.5)
        ),
    ),
    else_=0.0,
)  # distance of the score from what decided; NULL, which comes first, where there is no score


def use_of(image: ImageRow, *, fraction: float) -> str:
    """`gate` or `train`: a `fraction` of the random images is for the gate."""
    random = image.source in RANDOM_SOURCES
    return "gate" if random and is_for_gate(image.site, image.part_id, fraction=fraction) else "train"


def expire_images(session: Session, *, incident_id: str) -> int:
    """Ask no more about the images of an incident that is over; returns how many questions that ends."""
    rows = session.scalars(
        select(ImageRow).where(ImageRow.incident_id == incident_id, ImageRow.state == "queued")
    ).all()
    for row in rows:
        row.state = "expired"
    return len(rows)


def labels_for_training(session: Session, *, site: str) -> Sequence[tuple[LabelRow, ImageRow]]:
    """`labels_with_images`; never an image that a gold set holds, in whatever version."""
    pinned = pinned_blobs(session, site=site)
    return [(label, image) for label, image in labels_with_images(session, site=site) if image.blob not in pinned]


def labels_with_images(session: Session, *, site: str) -> Sequence[tuple[LabelRow, ImageRow]]:
    """All labels of the site's model with an image on which people do not differ, oldest first; `use` says train or
    gate."""
    rows = session.execute(
        select(LabelRow, ImageRow)
        .join(ImageRow, ImageRow.image_id == LabelRow.image_id)
        .where(LabelRow.site == site, LabelRow.use.in_(("train", "gate")))
        .order_by(LabelRow.id)
    )
    return [(label, image) for label, image in rows]
