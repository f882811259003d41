"""What people do about thresholds: ask for the scores of the last days, look at what others would have said, choose,
undo. What is chosen goes into the site's channel, which is signed and published like a release.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from contracts.bundle import Manifest, Thresholds
from contracts.errors import ConfigurationError, OrderError
from contracts.orders import CountScores
from contracts.scores import Scores, TruthCounts, added, bin_of
from monitor import releases, timeline
from monitor.labels import RANDOM_SOURCES
from monitor.orders import OrderDesk
from monitor.rulebook import Rulebook
from monitor.signed_thresholds import deciding, standing_row
from monitor.store.database import Store
from monitor.store.label_tables import ImageRow, LabelRow
from monitor.store.rollout_tables import BundleRow, OrderRow, RefusedRow, ScoresRow, ThresholdsRow
from monitor.store.telemetry_tables import AgentRow
from runtime.band import Prices
from runtime.preview import Preview, chosen_by_cost, preview, snapped, together

FRESH = timedelta(hours=24)
"""How old the scores may be that somebody chooses by."""


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


class ThresholdDesk:
    """`on_change` wakes whoever signs and sends."""

    def __init__(
        self, store: Store, orders: OrderDesk, rulebook: Rulebook, *, on_change: Callable[[], None] = lambda: None
    ) -> None:
        self._store, self._orders, self._rulebook, self._on_change = store, orders, rulebook, on_change

    def ask(self, *, site: str, bundle_hash: str, product: str, days: int, by: str) -> list[str]:
        """Ask all agents that serve the bundle for their scores; returns the orders' ids. Raises KeyError for a bundle
        that the site has not, OrderError where no agent serves it."""
        with self._store.write() as session:
            manifest_of_site(session, site, bundle_hash)
            agents = session.scalars(
                select(AgentRow.agent).where(AgentRow.site == site, AgentRow.bundle_hash == bundle_hash)
            ).all()
            if not agents:
                raise OrderError(f"no agent of {site} serves bundle {bundle_hash[:12]}; scores lie where it serves")
            reason = f"{by} asks for a preview of thresholds"
            asked = [
                self._order(session, site, agent, reason, bundle_hash, product, days)
                for agent in agents
            ]  # fmt: skip
            timeline.note(
                session, "thresholds.asked", site=site, at=self._rulebook.clock(session, site), product=product,
                bundle_hash=bundle_hash, by=by, days=days, agents=list(agents),
            )  # fmt: skip
        self._on_change()
        return asked

    def _order(
        self, session: Session, site: str, agent: str, reason: str, bundle_hash: str, product: str, days: int
    ) -> str:
        """One that waits already is enough."""
        for row in session.scalars(
            select(OrderRow).where(
                OrderRow.site == site, OrderRow.agent == agent, OrderRow.kind == "count-scores",
                OrderRow.state == "open",
            )
        ):  # fmt: skip
            wanted = CountScores.model_validate(row.body)
            if (wanted.bundle_hash, wanted.product, wanted.days) == (bundle_hash, product, days):
                return row.order_id
        return self._orders.issue(
            session, CountScores, site=site, agent=agent, reason=reason, bundle_hash=bundle_hash, product=product,
            days=days,
        )  # fmt: skip

    def preview(self, *, site: str, bundle_hash: str, product: str, wish: Wish) -> Preview:
        """What the wish would have changed. Raises KeyError, OrderError (no scores yet) and ConfigurationError."""
        with self._store.read() as session:
            return previewed(session, site=site, bundle_hash=bundle_hash, product=product, wish=wish)

    def choose(
        self,
        *,
        site: str,
        bundle_hash: str,
        product: str,
        every_product: bool = False,
        wish: Wish,
        reason: str,
        by: str,
        unseen: bool = False,
    ) -> dict[str, Any]:
        """Thresholds decide from the next channel on, for `product` or for every product without its own. Looked at
        first: without fresh scores only where `unseen` says that this is meant, which is recorded.

        Raises KeyError, OrderError (refused bundle, no preview, no release) and ConfigurationError.
        """
        with self._store.write() as session:
            manifest = manifest_of_site(session, site, bundle_hash)
            if session.get(RefusedRow, (site, bundle_hash)) is not None:
                raise OrderError(f"bundle {bundle_hash[:12]} may not run at {site}")
            looked = self._look(session, site, bundle_hash, product, wish, manifest, unseen=unseen)
            row = self._stand(
                session, site, bundle_hash, None if every_product else product, looked[0], reason, by, looked[1]
            )
            answer = self._publish(session, row, "thresholds.chosen", manifest)
        self._on_change()
        return answer

    def undo(self, *, site: str, number: int, reason: str, by: str) -> dict[str, Any]:
        """Back to what decided before these thresholds: the earlier signed ones under a new number, or the bundle's
        own. Raises KeyError, or OrderError where they no longer stand."""
        with self._store.write() as session:
            row = session.get(ThresholdsRow, (site, number))
            if row is None:
                raise KeyError(f"site {site} has no thresholds {number}")
            if row.ended_at is not None:
                raise OrderError(f"thresholds {number} no longer stand: {row.ending}")
            manifest = manifest_of_site(session, site, row.bundle_hash)
            before = session.get(ThresholdsRow, (site, row.replaces)) if row.replaces is not None else None
            _end(row, by=by, why=reason)
            if before is not None:
                again = self._stand(
                    session, site, row.bundle_hash, row.product, Thresholds.model_validate(before.thresholds),
                    reason, by, None,
                )  # fmt: skip
                again.replaces = before.replaces
            answer = self._publish(session, row, "thresholds.undone", manifest, by=by, why=reason)
        self._on_change()
        return answer

    def _look(
        self,
        session: Session,
        site: str,
        bundle_hash: str,
        product: str,
        wish: Wish,
        manifest: Manifest,
        *,
        unseen: bool,
    ) -> tuple[Thresholds, dict[str, Any] | None]:
        """The thresholds that are meant, and what is known of their effect."""
        fresh = kept_scores(session, site, bundle_hash, product, since=datetime.now(UTC) - FRESH)
        if fresh:
            seen = previewed(session, site=site, bundle_hash=bundle_hash, product=product, wish=wish)
            return seen.then, {"now": asdict(seen.all.now), "then": asdict(seen.all.then)}
        if not unseen:
            raise OrderError(
                f"nobody has looked at what these thresholds would have changed for {product}: ask for the scores "
                "first (they may be a day old), or say unseen = true"
            )
        if wish.prices is not None:
            raise OrderError("the cheapest thresholds follow from the scores; ask for these first, or name thresholds")
        return thresholds_of(wish, manifest.thresholds, own=manifest.thresholds), None

    def _stand(
        self, session: Session, site: str, bundle_hash: str, product: str | None, thresholds: Thresholds, reason: str,
        by: str, seen: dict[str, Any] | None,
    ) -> ThresholdsRow:  # fmt: skip
        before = standing_row(session, site, bundle_hash, product)
        last = session.scalar(select(func.max(ThresholdsRow.number)).where(ThresholdsRow.site == site)) or 0
        if before is not None:
            _end(before, by=by, why=f"thresholds {last + 1} took their place")
        row = ThresholdsRow(
            site=site, number=last + 1, bundle_hash=bundle_hash, product=product,
            thresholds=thresholds.model_dump(mode="json"), reason=reason, by=by, at=datetime.now(UTC), seen=seen,
            replaces=None if before is None else before.number,
        )  # fmt: skip
        session.add(row)
        session.flush()
        return row

    def _publish(
        self, session: Session, row: ThresholdsRow, code: str, manifest: Manifest, **more: str
    ) -> dict[str, Any]:
        site, product = row.site, row.product or manifest.product
        thresholds = deciding(session, site, row.bundle_hash, product, manifest)
        told = {"by": row.by, "why": row.reason, **more}
        channel = releases.publish_thresholds(session, site, reason=f"thresholds: {told['why']}"[:1000])
        timeline.note(
            session, code, site=site, at=self._rulebook.clock(session, site), product=row.product,
            bundle_hash=row.bundle_hash, number=row.number, ng=thresholds.ng, review_from=thresholds.review_from,
            seen=row.seen is not None, **told,
        )  # fmt: skip
        return {
            "number": row.number, "channel_sequence": channel.sequence, "ng": thresholds.ng,
            "review_from": thresholds.review_from,
        }  # fmt: skip


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


def audited(
    session: Session, site: str, bundle_hash: str, product: str, manifest: Manifest, scores: Scores
) -> TruthCounts:
    """Scores of the random parts that raters labelled, in the bins of `scores`, all that this bundle judged."""
    rows = session.execute(
        select(LabelRow.label, ImageRow.verdict)
        .join(ImageRow, ImageRow.image_id == LabelRow.image_id)
        .where(
            LabelRow.site == site, LabelRow.bundle_hash == bundle_hash, LabelRow.product == product,
            LabelRow.source.in_(RANDOM_SOURCES),
        )
    )  # fmt: skip
    truth: Mapping[bool, list[dict[int, int]]] = {True: [], False: []}
    for label, verdict in rows:
        if verdict.get("defect_score") is not None:
            truth[label in manifest.good_labels].append({bin_of(verdict["defect_score"], scores.edges): 1})
    return TruthCounts(good=added(truth[True]), defect=added(truth[False]))


def kept_scores(
    session: Session, site: str, bundle_hash: str, product: str, *, since: datetime | None = None
) -> Sequence[ScoresRow]:
    """The newest scores of each agent that has sent some."""
    query = select(ScoresRow).where(
        ScoresRow.site == site, ScoresRow.bundle_hash == bundle_hash, ScoresRow.product == product
    )
    if since is not None:
        query = query.where(ScoresRow.received_at >= since)
    return session.scalars(query.order_by(ScoresRow.agent)).all()


def record_scores(session: Session, order: OrderRow, details: Mapping[str, Any]) -> None:
    """Keep what an agent counted on an order of its own that is open; it takes the place of what it counted before.

    Raises ConfigurationError where that cannot be right; nothing is kept then.
    """
    try:
        told = Scores.model_validate(details)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigurationError(f"{'.'.join(map(str, first['loc']))[:100]}: {first['msg'][:200]}") from error
    if (told.bundle_hash, told.product) != (order.body["bundle_hash"], order.body["product"]):
        raise ConfigurationError(f"they are of {told.product} and bundle {told.bundle_hash[:12]}: not asked for")
    session.execute(
        delete(ScoresRow).where(
            ScoresRow.site == order.site, ScoresRow.agent == order.agent, ScoresRow.bundle_hash == told.bundle_hash,
            ScoresRow.product == told.product,
        )
    )  # fmt: skip
    session.add(
        ScoresRow(
            order_id=order.order_id, site=order.site, agent=order.agent, bundle_hash=told.bundle_hash,
            product=told.product, received_at=datetime.now(UTC), body=told.model_dump(mode="json"),
        )
    )  # fmt: skip


def manifest_of_site(session: Session, site: str, bundle_hash: str) -> Manifest:
    """Of a bundle that was handed in for the site. Raises KeyError."""
    row = session.get(BundleRow, bundle_hash)
    if row is None or row.site != site:
        raise KeyError(f"site {site} has no bundle {bundle_hash[:12]!r}")
    return Manifest.model_validate(row.manifest)


def _end(row: ThresholdsRow, *, by: str, why: str) -> None:
    row.ended_at, row.ended_by, row.ending = datetime.now(UTC), by, why
