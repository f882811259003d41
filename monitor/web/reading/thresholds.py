"""What the page about thresholds shows: what decides, how the scores lie, and what others would have said."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts.bundle import Manifest
from contracts.errors import LinesideError
from contracts.orders import CountScores
from contracts.scores import Scores
from contracts.thresholds import Thresholds
from monitor.releases import active_release
from monitor.signed_thresholds import deciding, standing_row
from monitor.store.rollout_tables import BundleRow, OrderRow, ReleaseRow, ScoresRow, ThresholdsRow
from monitor.store.rule_tables import CameraRow
from monitor.threshold_preview import Wish, previewed
from monitor.threshold_scores import kept_scores
from runtime.preview import Preview, together

TICKS = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
_HEIGHT = 100.0
_KEPT = 30  # lines of the history


@dataclass(frozen=True)
class Bar:
    """One bin of the chart: where it begins and how wide it is (0..1), how high (0..100), and what its parts become."""

    x: float
    width: float
    height: float
    decision: str
    count: int
    low: float
    high: float


@dataclass(frozen=True)
class Chart:
    """Scores by bin, heights logarithmic. `now` and `then`: places of review_from and ng, 0..1."""

    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, float], ...]
    now: tuple[float, float]
    then: tuple[float, float]


@dataclass(frozen=True)
class Subject:
    """One bundle and product of a site. `own`: what the bundle came with; `standing`: what was signed for it."""

    site: str
    release: ReleaseRow
    product: str
    manifest: Manifest
    now: Thresholds
    standing: ThresholdsRow | None
    scores: Sequence[ScoresRow]
    waiting: Sequence[OrderRow]
    failed: Sequence[OrderRow]

    @property
    def newest(self) -> datetime | None:
        """When the newest scores came."""
        return max((row.received_at for row in self.scores), default=None)


@dataclass(frozen=True)
class Look:
    """A preview with its chart, or why there is none."""

    preview: Preview | None
    chart: Chart | None
    refusal: str = ""


def subjects(session: Session) -> list[tuple[str, str]]:
    """(site, product) of everything that is served, in order."""
    found = []
    for site in sorted(set(session.scalars(select(ReleaseRow.site)))):
        release = active_release(session, site)
        if release is not None:
            seen = session.scalars(
                select(CameraRow.product).where(
                    CameraRow.site == site, CameraRow.bundle_hash == release.bundle_hash
                ).distinct()
            )  # fmt: skip
            found += [(site, product) for product in sorted({release.product, *seen})]
    return found


def subject(session: Session, site: str, product: str) -> Subject | None:
    """What is served at the site; None where nothing is, or its manifest is a newer version's."""
    release = active_release(session, site)
    row = session.get(BundleRow, release.bundle_hash) if release is not None else None
    if release is None or row is None:
        return None
    try:
        manifest = Manifest.model_validate(row.manifest)
    except ValidationError:
        return None
    orders = _orders(session, site, release.bundle_hash, product)
    return Subject(
        site=site,
        release=release,
        product=product,
        manifest=manifest,
        now=deciding(session, site, release.bundle_hash, product, manifest),
        standing=standing_row(session, site, release.bundle_hash, product)
        or standing_row(session, site, release.bundle_hash, None),
        scores=kept_scores(session, site, release.bundle_hash, product),
        waiting=[row for row in orders if row.state == "open"],
        failed=[row for row in orders if row.state in ("failed", "expired")],
    )


def look(session: Session, about: Subject, wish: Wish) -> Look:
    """What the wish would have changed; by itself, without a wish, how the scores lie now."""
    if not about.scores:
        return Look(None, None)
    try:
        seen = previewed(
            session, site=about.site, bundle_hash=about.release.bundle_hash, product=about.product, wish=wish
        )
    except LinesideError as error:
        return Look(None, None, str(error))
    scores = together([Scores.model_validate(row.body) for row in about.scores])
    return Look(seen, chart(scores, seen.now, seen.then))


def history(session: Session, site: str) -> Sequence[ThresholdsRow]:
    """What was chosen for the site, newest first."""
    rows = select(ThresholdsRow).where(ThresholdsRow.site == site).order_by(ThresholdsRow.number.desc())
    return session.scalars(rows.limit(_KEPT)).all()


def chart(scores: Scores, now: Thresholds, then: Thresholds) -> Chart:
    """Every bin gets the same width, so that the crowded ends can be read."""
    every, edges = scores.all, scores.edges
    wide, tallest = 1.0 / (len(edges) - 1), math.log1p(max(every.values(), default=1))
    bars = tuple(
        Bar(
            x=bin_ * wide, width=wide, height=_HEIGHT * math.log1p(count) / tallest, decision=_said(edges[bin_], then),
            count=count, low=edges[bin_], high=edges[bin_ + 1],
        )
        for bin_, count in sorted(every.items())
    )  # fmt: skip

    def place(value: float) -> float:
        return bisect_left(edges, value) * wide

    return Chart(
        bars=bars,
        ticks=tuple((place(tick), tick) for tick in TICKS),
        now=(place(now.review_from), place(now.ng)),
        then=(place(then.review_from), place(then.ng)),
    )


def _said(score: float, thresholds: Thresholds) -> str:
    return "NG" if score >= thresholds.ng else "REVIEW" if score >= thresholds.review_from else "OK"


def _orders(session: Session, site: str, bundle_hash: str, product: str) -> list[OrderRow]:
    """The newest order of each agent about this."""
    newest: dict[str, OrderRow] = {}
    asked = select(OrderRow).where(OrderRow.site == site, OrderRow.kind == "count-scores").order_by(OrderRow.issued_at)
    for row in session.scalars(asked):
        order = CountScores.model_validate(row.body)
        if (order.bundle_hash, order.product) == (bundle_hash, product):
            newest[row.agent] = row
    return list(newest.values())
