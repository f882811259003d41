"""What gate and shadow look at, gathered from the store: which parts count, and what both bundles said on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts.bundle import Manifest
from contracts.frame import Decision
from contracts.telemetry import ShadowSummary
from monitor.blobs import Blobs
from monitor.evaluation import Answers, LabelledImage
from monitor.gold import current_gold
from monitor.labels import DISPUTED, RANDOM_SOURCES
from monitor.releases import active_release
from monitor.rules.paired import PairedPart
from monitor.store.label_tables import ImageRow, LabelRow
from monitor.store.rollout_tables import CandidateRow, ReleaseRow
from monitor.store.rule_tables import IncidentRow
from monitor.store.telemetry_tables import WindowRow
from runtime.decision import decide

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Period:
    """Which labels speak about the present state: parts seen since, labels given since (the gold set's convention)."""

    seen_since: datetime
    given_since: datetime


def period_of(session: Session, candidate: CandidateRow) -> Period:
    """The incident's parts where one asked for the candidate; else those of the incident that brought the active
    release, whose condition still holds; else all since that release serves. Never labels that are older than the gold
    set, which a person may have replaced because a convention changed."""
    gold = current_gold(session, candidate.site)
    first_gold = gold is None or gold.version == 1
    given = _LONG_AGO if first_gold or gold is None else gold.at
    active = active_release(session, candidate.site)
    incident_id = candidate.incident_id or (_brought_by(session, active) if active is not None else None)
    incident = session.get(IncidentRow, incident_id) if incident_id else None
    if incident is not None:
        return Period(seen_since=_first_part(session, incident), given_since=given)
    seen = (active.activated_at if active is not None else None) or _LONG_AGO
    return Period(seen_since=seen, given_since=given)


def _brought_by(session: Session, release: ReleaseRow) -> str | None:
    """The incident that a release was made for."""
    query = select(CandidateRow.incident_id).where(
        CandidateRow.site == release.site, CandidateRow.release_number == release.number
    )
    return session.scalars(query).first()


def _first_part(session: Session, incident: IncidentRow) -> datetime:
    """When the oldest part was seen that the incident asked about (images from the buffer are older than the alarm)."""
    query = select(ImageRow.triggered_at).where(ImageRow.incident_id == incident.incident_id)
    return session.scalars(query.order_by(ImageRow.triggered_at).limit(1)).first() or incident.opened_at


def gold_images(session: Session, site: str, blobs: Blobs, scratch: Path) -> list[LabelledImage]:
    """The gold set as files."""
    gold = current_gold(session, site)
    examples: list[list[str]] = gold.examples if gold is not None else []
    return [LabelledImage(name=name, label=label, path=_file(blobs, blob, scratch)) for blob, label, name in examples]


def gate_labels(
    session: Session, site: str, period: Period, *, known: Iterable[str] = ()
) -> list[tuple[LabelRow, ImageRow]]:
    """Random parts kept for the gate in that period, without those already `known`."""
    rows = session.execute(
        select(LabelRow, ImageRow)
        .join(ImageRow, ImageRow.image_id == LabelRow.image_id)
        .where(
            LabelRow.site == site,
            LabelRow.use == "gate",
            LabelRow.triggered_at >= period.seen_since,
            LabelRow.received_at >= period.given_since,
        )
        .order_by(LabelRow.id)
    )
    skipped = set(known)
    return [(label, image) for label, image in rows if label.part_id not in skipped]


def gate_images(rows: Sequence[tuple[LabelRow, ImageRow]], blobs: Blobs, scratch: Path) -> list[LabelledImage]:
    """Those parts as files."""
    return [
        LabelledImage(name=label.part_id, label=label.label, path=_file(blobs, image.blob, scratch))
        for label, image in rows
    ]


def random_defects(session: Session, site: str, period: Period, good_labels: Sequence[str]) -> tuple[int, int]:
    """(defective, all) random labels of the period."""
    labels = session.scalars(
        select(LabelRow.label).where(
            LabelRow.site == site,
            LabelRow.source.in_(RANDOM_SOURCES),
            LabelRow.use != DISPUTED,
            LabelRow.triggered_at >= period.seen_since,
            LabelRow.received_at >= period.given_since,
        )
    ).all()
    return sum(label not in good_labels for label in labels), len(labels)


def paired(
    images: Sequence[LabelledImage],
    active: Answers,
    active_manifest: Manifest,
    candidate: Answers,
    candidate_manifest: Manifest,
) -> tuple[PairedPart, ...]:
    """What both bundles decide on the same parts. An image without an answer is NO_VERDICT."""
    before = decisions(active, active_manifest)
    after = decisions(candidate, candidate_manifest)
    return tuple(
        PairedPart(part_id=image.name, label=image.label, active=old, candidate=new)
        for image, old, new in zip(images, before, after, strict=True)
    )


def decisions(answers: Answers, manifest: Manifest) -> list[Decision]:
    """Decisions from probabilities, by the bundle's own thresholds."""
    return [
        Decision.NO_VERDICT if row is None else decide(np.array(row), manifest).decision
        for row in answers.probabilities
    ]


@dataclass(frozen=True)
class ShadowSums:
    """Sums of the windows in which a shadow ran, over all agents."""

    images: int
    failures: int
    shadow_decisions: dict[Decision, int]
    active_decisions: dict[Decision, int]
    shadow_latency_seconds_sum: float
    active_latency_seconds_sum: float
    active_images: int


def shadow_sums(session: Session, site: str, bundle_hash: str, *, after_message: int) -> ShadowSums:
    """What windows say about the shadow since the message with that id."""
    rows = session.scalars(
        select(WindowRow).where(
            WindowRow.site == site, WindowRow.message_id > after_message, WindowRow.shadow.is_not(None)
        )
    )
    parts = [(row, ShadowSummary.model_validate(row.shadow)) for row in rows]
    parts = [(row, shadow) for row, shadow in parts if shadow.bundle_hash == bundle_hash]
    return ShadowSums(
        images=sum(shadow.images for _, shadow in parts),
        failures=sum(shadow.failures for _, shadow in parts),
        shadow_decisions=_added(shadow.decisions for _, shadow in parts),
        active_decisions=_added({Decision(name): count for name, count in row.decisions.items()} for row, _ in parts),
        shadow_latency_seconds_sum=sum(shadow.latency_seconds_sum for _, shadow in parts),
        active_latency_seconds_sum=sum(row.latency_seconds_sum for row, _ in parts),
        active_images=sum(row.images for row, _ in parts),
    )


def _added(counts: Iterable[dict[Decision, int]]) -> dict[Decision, int]:
    total: dict[Decision, int] = {}
    for count in counts:
        for decision, number in count.items():
            total[decision] = total.get(decision, 0) + number
    return total


def _file(blobs: Blobs, blob: str, scratch: Path) -> Path:
    path = blobs.local_path(blob)
    if path is not None:
        return path
    scratch.mkdir(parents=True, exist_ok=True)
    copy = scratch / blob
    if not copy.exists():
        copy.write_bytes(blobs.read(blob))
    return copy
