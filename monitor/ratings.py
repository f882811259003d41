"""What people said, and the labels that come of it: `rate` for an image, `report` for a part at the line.

Both return the labels that count from then on, each once, to be told to the rules. What the answers come to is decided
in `rules.rating`.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from contracts.telemetry import OutcomeReport
from monitor import classes
from monitor.labels import DISPUTED, AlreadyLabelled, QuestionExpired, ShareReached, use_of
from monitor.rules.rating import Said, may_go_on, standing, wants_second_opinion
from monitor.settings import LabelSettings
from monitor.store.label_tables import ImageRow, LabelRow, RatingRow

ASKED_STATES = ("queued", "second")
_SHARE_DAYS = 30

Via = Literal["page", "program", "label-studio"]


@dataclass(frozen=True)
class Answer:
    """What a person says about an image. `seconds` from shown to answered, where somebody measured."""

    image_id: str
    label: str
    rater: str
    seconds: float | None = None
    via: Via = "program"


def rate(session: Session, answer: Answer, *, at: datetime, settings: LabelSettings, people: int) -> list[LabelRow]:
    """Record an answer. `people`: how many the monitor can tell apart.

    Raises KeyError for an unknown image, AlreadyLabelled, QuestionExpired, ShareReached.
    """
    image = _asked(session, answer)
    if not has_room(session, image.site, image.incident_id, answer.rater, at=at, settings=settings, people=people):
        raise ShareReached("others must go on: one person may not decide alone what a model learns")
    session.add(
        RatingRow(
            site=image.site,
            image_id=image.image_id,
            incident_id=image.incident_id,
            rater=answer.rater,
            label=answer.label,
            seconds=answer.seconds,
            via=answer.via,
            given_at=at,
        )
    )
    session.flush()
    known = classes.counting(session, image.site, extra=settings.extra)
    label = _settle(session, image, known, at=at, settings=settings)
    return [*([] if label is None else [label]), *_confirm(session, image.site, known, at=at, settings=settings)]


def report(
    session: Session, said: OutcomeReport, *, site: str, agent: str, at: datetime, settings: LabelSettings
) -> list[LabelRow]:
    """Record what the line found out by itself (operator, end of line); nothing where the same source said it before.

    Such labels are found by looking, so they are no random draw; without an image nothing can be trained on them.
    """
    outcome = said.outcome
    same = select(LabelRow.id).where(
        LabelRow.site == site, LabelRow.part_id == outcome.part_id, LabelRow.source == outcome.source.value
    )
    if session.scalar(same) is not None:
        return []
    row = LabelRow(
        site=site,
        agent=agent,
        camera=said.camera,
        product=said.product,
        part_id=outcome.part_id,
        label=outcome.label,
        source=outcome.source.value,
        rater=outcome.rater,
        use=classes.WAITING,
        bundle_hash=said.bundle_hash,
        decision=said.decision.value,
        predicted=said.label,
        triggered_at=said.triggered_at,
        decided_at=outcome.decided_at,
        received_at=at,
    )
    session.add(row)
    session.flush()
    return _confirm(session, site, classes.counting(session, site, extra=settings.extra), at=at, settings=settings)


def has_room(
    session: Session,
    site: str,
    incident_id: str | None,
    rater: str,
    *,
    at: datetime,
    settings: LabelSettings,
    people: int,
) -> bool:
    """Whether the person's share of an incident's labels, or else of the last thirty days outside incidents, allows one
    more. `people`: how many the monitor can tell apart."""
    if people < 2:
        return True
    given = _given(session, site, incident_id, at=at)
    return may_go_on(given, rater, people=people, most=settings.most_of_one_person, free=settings.free_of_share)


def _given(session: Session, site: str, incident_id: str | None, *, at: datetime) -> dict[str, int]:
    query = select(RatingRow.rater, func.count()).where(RatingRow.site == site, RatingRow.incident_id == incident_id)
    if incident_id is None:
        query = query.where(RatingRow.given_at >= at - timedelta(days=_SHARE_DAYS))
    return {row[0]: row[1] for row in session.execute(query.group_by(RatingRow.rater))}


def _asked(session: Session, answer: Answer) -> ImageRow:
    image = session.get(ImageRow, answer.image_id)
    if image is None:
        raise KeyError(answer.image_id)
    own = select(RatingRow.id).where(RatingRow.image_id == answer.image_id, RatingRow.rater == answer.rater)
    if image.state == "labelled":
        raise AlreadyLabelled(f"image {answer.image_id} has its label already")
    if image.state == "disputed" or session.scalar(own) is not None:
        raise AlreadyLabelled(f"image {answer.image_id} was answered before, and this person is not asked again")
    if image.state not in ASKED_STATES:
        raise QuestionExpired(f"image {answer.image_id} is no longer asked about")
    return image


def _settle(
    session: Session, image: ImageRow, known: Set[str] | None, *, at: datetime, settings: LabelSettings
) -> LabelRow | None:
    """Bring image and label in step with the answers; returns the label where it counts for the first time."""
    query = select(RatingRow).where(RatingRow.image_id == image.image_id).order_by(RatingRow.id)
    answers = [Said(row.rater, row.label) for row in session.scalars(query)]
    again = wants_second_opinion(image.site, image.part_id, share=settings.second_opinions)
    found = standing(answers, known, second_opinion=again)
    row = session.scalars(select(LabelRow).where(LabelRow.image_id == image.image_id)).first()
    if row is None and found.label is None:
        image.state = "queued" if found.asks else "disputed"
        return None
    image.state = "second" if found.asks else "disputed" if found.label is None else "labelled"
    if row is not None:
        row.use = DISPUTED if found.label is None else use_of(image, fraction=settings.gate_fraction)
        row.label = found.label or row.label
        return None
    return _labelled(session, image, answers, str(found.label), at=at, settings=settings)


def _labelled(
    session: Session, image: ImageRow, answers: list[Said], label: str, *, at: datetime, settings: LabelSettings
) -> LabelRow:
    row = LabelRow(
        site=image.site,
        agent=image.agent,
        camera=image.camera,
        product=image.product,
        part_id=image.part_id,
        image_id=image.image_id,
        incident_id=image.incident_id,
        label=label,
        source=image.source,
        rater=next(answer.rater for answer in answers if answer.label == label),
        use=use_of(image, fraction=settings.gate_fraction),
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


def _confirm(
    session: Session, site: str, known: Set[str] | None, *, at: datetime, settings: LabelSettings
) -> list[LabelRow]:
    """What waited for a second person to name its class and counts from now on."""
    waiting = select(LabelRow).where(LabelRow.site == site, LabelRow.use == classes.WAITING).order_by(LabelRow.id)
    reports = [row for row in session.scalars(waiting).all() if known is None or row.label in known]
    for row in reports:
        row.use = "none"
    rated = exists().where(RatingRow.image_id == ImageRow.image_id)
    images = session.scalars(select(ImageRow).where(ImageRow.state == "queued", ImageRow.site == site, rated)).all()
    labels = [_settle(session, image, known, at=at, settings=settings) for image in images]
    return [*reports, *(row for row in labels if row is not None)]
