"""What somebody would like to decide by, and what that would have changed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import ValidationError
from sqlalchemy.orm import Session

from contracts.bundle import Manifest
from contracts.errors import ConfigurationError, OrderError
from contracts.scores import Scores
from contracts.thresholds import Thresholds
from monitor.signed_thresholds import deciding
from monitor.store.rollout_tables import BundleRow
from monitor.threshold_scores import audited, kept_scores
from runtime.band import Prices
from runtime.preview import Preview, chosen_by_cost, preview, snapped, together


@dataclass(frozen=True)
class Wish:
    """What somebody would like: thresholds, or prices that the cheapest ones follow from, with at most so many reviews
    on the busiest of the days that were counted."""

    ng: float | None = None
    review_from: float | None = None
    prices: Prices | None = None
    reviews_a_day: float | None = None

    def prices_on(self, scores: Scores) -> Prices | None:
        """The prices, with what people have time for as a share of these parts."""
        if self.prices is None or self.reviews_a_day is None:
            return self.prices
        busiest = max((sum(counts.values()) for counts in scores.days.values()), default=1)
        return replace(self.prices, most_reviewed=min(self.prices.most_reviewed, self.reviews_a_day / busiest))


def previewed(session: Session, *, site: str, bundle_hash: str, product: str, wish: Wish) -> Preview:
    """What a wish would have changed on the newest scores of the site's agents."""
    manifest = manifest_of_site(session, site, bundle_hash)
    rows = kept_scores(session, site, bundle_hash, product)
    if not rows:
        raise OrderError(f"no scores of bundle {bundle_hash[:12]} and product {product} are here yet; ask for them")
    scores = together([Scores.model_validate(row.body) for row in rows])
    now, own, prices = (
        deciding(session, site, bundle_hash, product, manifest),
        manifest.thresholds,
        wish.prices_on(scores),
    )
    if not {now.ng, now.review_from} <= {*scores.edges}:
        raise OrderError("these scores were counted before the present thresholds decided; ask for them again")
    by_hand = thresholds_of(wish, now, own=own)
    then = chosen_by_cost(scores, own, prices) if prices else snapped(by_hand, scores.edges)
    truth = audited(session, site, bundle_hash, product, manifest, scores)
    return preview(scores, now, then, own=own, prices=prices, truths={"labels": truth})


def thresholds_of(wish: Wish, now: Thresholds, *, own: Thresholds) -> Thresholds:
    """The thresholds that a wish names; what it leaves out stays. Raises ConfigurationError where they are none."""
    ng = now.ng if wish.ng is None else wish.ng
    review_from = min(now.review_from, ng) if wish.review_from is None else wish.review_from
    fields = {**own.model_dump(), "ng": ng, "review_from": review_from, "slope": None, "chosen_by": "a person"}
    try:
        return Thresholds.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "thresholds"
        raise ConfigurationError(f"{where}: {first['msg']} (ng {ng:g}, review_from {review_from:g})") from error


def manifest_of_site(session: Session, site: str, bundle_hash: str) -> Manifest:
    """Of a bundle that was handed in for the site. Raises KeyError."""
    row = session.get(BundleRow, bundle_hash)
    if row is None or row.site != site:
        raise KeyError(f"site {site} has no bundle {bundle_hash[:12]!r}")
    return Manifest.model_validate(row.manifest)
