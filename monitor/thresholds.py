"""What people do about thresholds: ask for the scores of the last days, look at what others would have said, choose,
undo. What is chosen goes into the site's channel, which is signed and published like a release.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from contracts.bundle import Manifest
from contracts.errors import OrderError
from contracts.orders import CountScores
from contracts.thresholds import Thresholds
from monitor import releases, timeline
from monitor.orders import OrderDesk
from monitor.rulebook import Rulebook
from monitor.signed_thresholds import deciding, standing_row
from monitor.store.database import Store
from monitor.store.rollout_tables import OrderRow, RefusedRow, ThresholdsRow
from monitor.store.telemetry_tables import AgentRow
from monitor.threshold_preview import Wish, manifest_of_site, previewed, thresholds_of
from monitor.threshold_scores import kept_scores
from runtime.preview import Preview

FRESH = timedelta(hours=24)
"""How old the scores may be that somebody chooses by."""


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


def _end(row: ThresholdsRow, *, by: str, why: str) -> None:
    row.ended_at, row.ended_by, row.ending = datetime.now(UTC), by, why
