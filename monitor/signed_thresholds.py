"""The thresholds of a site as the store has them: what stands, what decides, and how the channel says it."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts.bundle import Manifest
from contracts.thresholds import MOST_ENTRIES, SignedThresholds, Thresholds
from monitor.store.rollout_tables import RefusedRow, ThresholdsRow


def standing(session: Session, site: str) -> tuple[SignedThresholds, ...]:
    """What the channel carries: what stands, of bundles that may run; the newest where there are too many."""
    refused = select(RefusedRow.bundle_hash).where(RefusedRow.site == site)
    rows = session.scalars(
        select(ThresholdsRow)
        .where(ThresholdsRow.site == site, ThresholdsRow.ended_at.is_(None), ThresholdsRow.bundle_hash.not_in(refused))
        .order_by(ThresholdsRow.number.desc())
        .limit(MOST_ENTRIES)
    )
    return tuple(sorted((signed(row) for row in rows), key=lambda entry: entry.number))


def standing_row(session: Session, site: str, bundle_hash: str, product: str | None) -> ThresholdsRow | None:
    """What stands for exactly this bundle and product."""
    same = ThresholdsRow.product.is_(None) if product is None else ThresholdsRow.product == product
    return session.scalars(
        select(ThresholdsRow).where(
            ThresholdsRow.site == site, ThresholdsRow.bundle_hash == bundle_hash, same, ThresholdsRow.ended_at.is_(None)
        )
    ).first()


def deciding(session: Session, site: str, bundle_hash: str, product: str, manifest: Manifest) -> Thresholds:
    """What decides on parts of a product while that bundle serves."""
    row = standing_row(session, site, bundle_hash, product) or standing_row(session, site, bundle_hash, None)
    return manifest.thresholds if row is None else Thresholds.model_validate(row.thresholds)


def as_served(session: Session, site: str, bundle_hash: str, manifest: Manifest) -> Manifest:
    """The manifest with the thresholds that decide at the site, for whoever compares bundles as they serve there."""
    thresholds = deciding(session, site, bundle_hash, manifest.product, manifest)
    return manifest if thresholds == manifest.thresholds else manifest.model_copy(update={"thresholds": thresholds})


def signed(row: ThresholdsRow) -> SignedThresholds:
    """As the channel carries it."""
    return SignedThresholds(
        number=row.number,
        bundle_hash=row.bundle_hash,
        product=row.product,
        thresholds=Thresholds.model_validate(row.thresholds),
        reason=row.reason,
        by=row.by,
        at=row.at,
    )
