"""Which classes a site has: those that raters may choose, and those that count."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from monitor.gold import current_gold
from monitor.releases import active_release
from monitor.rules.rating import Said, settled
from monitor.store.label_tables import ImageRow, LabelRow, RatingRow
from monitor.store.rollout_tables import BundleRow

_UNDECIDED = ("queued", "second", "disputed")
WAITING = "waiting"
"""`LabelRow.use` of a new class that one person alone has named."""


def offered(session: Session, site: str, *, extra: Iterable[str]) -> list[str]:
    """Classes a rater may choose: those of the active model and the gold set, those named before, the extra ones."""
    named = {said.label for said in _named(session, site)}
    return sorted(_given_to(session, site, extra) | _labelled(session, site) | named)


def counting(session: Session, site: str, *, extra: Iterable[str]) -> frozenset[str] | None:
    """Classes whose labels count; None where the site has neither model nor gold set nor classes of its own."""
    known = _given_to(session, site, extra)
    return settled(known | _labelled(session, site), _named(session, site)) if known else None


def _given_to(session: Session, site: str, extra: Iterable[str]) -> set[str]:
    known = set(extra)
    release, gold = active_release(session, site), current_gold(session, site)
    if release is not None:
        known.update(session.get_one(BundleRow, release.bundle_hash).manifest["labels"])
    if gold is not None:
        known.update(label for _, label, _ in gold.examples)
    return known


def _labelled(session: Session, site: str) -> set[str]:
    query = select(LabelRow.label).where(LabelRow.site == site, LabelRow.use != WAITING).distinct()
    return set(session.scalars(query))


def _named(session: Session, site: str) -> set[Said]:
    """Who has named what, at the monitor and at the line, as far as it is not decided yet; whoever was outvoted has
    named nothing."""
    open_ones = select(ImageRow.image_id).where(ImageRow.site == site, ImageRow.state.in_(_UNDECIDED))
    ratings = select(RatingRow.rater, RatingRow.label).where(RatingRow.image_id.in_(open_ones)).distinct()
    reports = select(LabelRow.rater, LabelRow.label).where(LabelRow.site == site, LabelRow.use == WAITING).distinct()
    return {Said(rater, label) for query in (ratings, reports) for rater, label in session.execute(query)}
