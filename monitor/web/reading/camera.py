"""One camera over time: the series that its charts draw, and how often its verdicts were right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts.frame import Decision
from monitor.labels import DISPUTED, RANDOM_SOURCES
from monitor.store.label_tables import LabelRow
from monitor.store.rollout_tables import BundleRow, ReleaseRow
from monitor.store.rule_tables import CameraRow
from monitor.store.telemetry_tables import AgentRow, MessageRow, WindowRow
from monitor.web.reading.fleet import CameraKey, recent_windows
from monitor.web.reading.labelfree import Estimate, estimated_accuracy
from runtime.metrics import wilson_interval

SPANS = (120, 480, 1440)
"""How many windows a chart can show."""

IMAGE_STATISTICS = ("mean", "contrast", "sharpness")
_LABELS_PER_POINT = 25


@dataclass
class Score:
    """Labels of random parts against the verdicts. An escape: a defect that was passed; a false reject: the reverse."""

    labels: int = 0
    escapes: int = 0
    false_rejects: int = 0
    reviews: int = 0

    def add(self, *, good: bool, decision: str) -> None:
        """Count one labelled part."""
        self.labels += 1
        self.escapes += decision == Decision.OK and not good
        self.false_rejects += decision == Decision.NG and good
        self.reviews += decision not in (Decision.OK, Decision.NG)

    @property
    def right(self) -> float | None:
        """Share of decided parts that were decided rightly, 0..1."""
        decided = self.labels - self.reviews
        return None if decided == 0 else 1.0 - (self.escapes + self.false_rejects) / decided

    @property
    def interval(self) -> tuple[float, float] | None:
        """Its 95 % interval (Wilson)."""
        decided = self.labels - self.reviews
        if decided == 0:
            return None
        return wilson_interval(decided - self.escapes - self.false_rejects, decided)


@dataclass(frozen=True)
class CameraFacts:
    """What stands beside the charts. `row` is None before the first window."""

    key: CameraKey
    row: CameraRow | None
    online: bool
    last_seen_at: datetime | None
    release: ReleaseRow | None
    score: Score
    estimate: Estimate | None

    @property
    def state(self) -> str:
        """Phase of the rules."""
        return self.row.state if self.row is not None else "LEARNING"


@dataclass
class Series:
    """Parallel lists, one entry for each window, oldest first. `at`: seconds since 1970."""

    at: list[float] = field(default_factory=list)
    state: list[str] = field(default_factory=list)
    t2: list[float | None] = field(default_factory=list)
    limit: list[float | None] = field(default_factory=list)
    images: list[int] = field(default_factory=list)
    decisions: dict[str, list[float | None]] = field(default_factory=lambda: {item.value: [] for item in Decision})
    confidence_mean: list[float | None] = field(default_factory=list)
    confidence_low: list[float | None] = field(default_factory=list)
    statistics: dict[str, list[float | None]] = field(default_factory=lambda: {name: [] for name in IMAGE_STATISTICS})
    contributions: list[dict[str, float] | None] = field(default_factory=list)
    release: list[int | None] = field(default_factory=list)
    latency_ms: list[float | None] = field(default_factory=list)


def camera_facts(session: Session, key: CameraKey) -> CameraFacts | None:
    """None when nothing is known of such a camera."""
    row = session.get(CameraRow, (key.site, key.agent, key.camera, key.product))
    agent = session.get(AgentRow, (key.site, key.agent))
    named = (agent.birth or {}).get("cameras", []) if agent is not None else []
    if row is None and (key.camera, key.product) not in {(item["camera"], item["product"]) for item in named}:
        return None
    bundle_hash = row.bundle_hash if row is not None else None
    return CameraFacts(
        key=key,
        row=row,
        online=agent is not None and agent.online,
        last_seen_at=agent.last_seen_at if agent is not None else None,
        release=_release(session, key.site, bundle_hash),
        score=_total(label_points(session, key, bundle_hash=bundle_hash)),
        estimate=None if row is None else estimated_accuracy(session, row),
    )


def series(session: Session, key: CameraKey, *, windows: int) -> Series:
    """The newest `windows` windows as the charts need them."""
    rows = recent_windows(session, key, windows)
    bodies = _bodies(session, [row.message_id for row in rows])
    releases = _releases(session, key.site)
    made = Series()
    for row in rows:
        _append(made, row, bodies.get(row.message_id, {}), releases)
    return made


def label_points(
    session: Session, key: CameraKey, *, since: datetime | None = None, bundle_hash: str | None = None
) -> list[tuple[datetime, Score]]:
    """(moment, score) of every 25 random labels of this camera, in the order in which the parts were seen."""
    query = select(LabelRow).where(
        LabelRow.site == key.site,
        LabelRow.agent == key.agent,
        LabelRow.camera == key.camera,
        LabelRow.product == key.product,
        LabelRow.source.in_(RANDOM_SOURCES),
        LabelRow.use != DISPUTED,
    )
    if since is not None:
        query = query.where(LabelRow.triggered_at >= since)
    if bundle_hash is not None:
        query = query.where(LabelRow.bundle_hash == bundle_hash)
    rows = list(session.scalars(query.order_by(LabelRow.triggered_at)))
    good = good_labels(session, {row.bundle_hash for row in rows if row.bundle_hash})
    points = []
    for start in range(0, len(rows), _LABELS_PER_POINT):
        part = rows[start : start + _LABELS_PER_POINT]
        score = Score()
        for row in part:
            score.add(good=row.label in good.get(row.bundle_hash or "", ()), decision=row.decision)
        points.append((part[len(part) // 2].triggered_at, score))
    return points


def good_labels(session: Session, hashes: set[str]) -> dict[str, tuple[str, ...]]:
    """Bundle hash -> classes that pass."""
    rows = session.scalars(select(BundleRow).where(BundleRow.bundle_hash.in_(hashes)))
    return {row.bundle_hash: tuple(row.manifest["good_labels"]) for row in rows}


def _append(made: Series, row: WindowRow, body: dict[str, Any], releases: dict[str, int]) -> None:
    made.at.append(row.ended_at.timestamp())
    made.state.append(row.state)
    made.t2.append(row.t2)
    made.limit.append(row.limit)
    made.images.append(row.images)
    made.contributions.append(row.contributions)
    made.release.append(releases.get(row.bundle_hash))
    made.latency_ms.append(1000.0 * row.latency_seconds_sum / row.images if row.images else None)
    total = sum(row.decisions.values())
    for decision in Decision:
        share = row.decisions.get(decision.value, 0) / total if total else None
        made.decisions[decision.value].append(share)
    mean, low = _confidence(body.get("confidence"))
    made.confidence_mean.append(mean)
    made.confidence_low.append(low)
    names, sums = body.get("vector_names", []), body.get("vector_sum", [])
    for name in IMAGE_STATISTICS:
        known = name in names and row.images > 0
        made.statistics[name].append(sums[names.index(name)] / row.images if known else None)


def _confidence(histogram: dict[str, Sequence[float]] | None) -> tuple[float | None, float | None]:
    """(mean, value that 10 % of the images stay below) from fixed bins; (None, None) for an empty one.

    >>> _confidence({"edges": [0.0, 0.5, 1.0], "counts": [1, 9]})
    (0.7, 0.5)
    """
    if histogram is None or sum(histogram["counts"]) == 0:
        return None, None
    edges, counts = histogram["edges"], histogram["counts"]
    total = sum(counts)
    middles = [(left + right) / 2 for left, right in pairwise(edges)]
    mean = sum(middle * count for middle, count in zip(middles, counts, strict=True)) / total
    below, low = 0.0, edges[-1]
    for (left, right), count in zip(pairwise(edges), counts, strict=True):
        if below + count >= 0.1 * total:
            low = left + (right - left) * (0.1 * total - below) / count
            break
        below += count
    return round(mean, 4), round(low, 4)


def _bodies(session: Session, message_ids: list[int]) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for start in range(0, len(message_ids), 500):
        part = message_ids[start : start + 500]
        rows = session.execute(select(MessageRow.id, MessageRow.body).where(MessageRow.id.in_(part)))
        found.update({row.id: row.body for row in rows})
    return found


def _releases(session: Session, site: str) -> dict[str, int]:
    rows = session.scalars(select(ReleaseRow).where(ReleaseRow.site == site).order_by(ReleaseRow.number))
    return {row.bundle_hash: row.number for row in rows}


def _release(session: Session, site: str, bundle_hash: str | None) -> ReleaseRow | None:
    query = select(ReleaseRow).where(ReleaseRow.site == site, ReleaseRow.bundle_hash == bundle_hash)
    return session.scalars(query.order_by(ReleaseRow.number.desc())).first()


def _total(points: list[tuple[datetime, Score]]) -> Score:
    total = Score()
    for _, score in points:
        total.labels += score.labels
        total.escapes += score.escapes
        total.false_rejects += score.false_rejects
        total.reviews += score.reviews
    return total
