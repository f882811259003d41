"""Scores that agents counted, and those of labelled parts: what a preview of other thresholds looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from contracts.bundle import Manifest
from contracts.errors import ConfigurationError
from contracts.scores import Scores, TruthCounts, added, bin_of
from monitor.labels import DISPUTED, RANDOM_SOURCES
from monitor.store.label_tables import ImageRow, LabelRow
from monitor.store.rollout_tables import OrderRow, ScoresRow


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


def audited(
    session: Session, site: str, bundle_hash: str, product: str, manifest: Manifest, scores: Scores
) -> TruthCounts:
    """Scores of the random parts that raters labelled, in the bins of `scores`, all that this bundle judged."""
    rows = session.execute(
        select(LabelRow.label, ImageRow.verdict)
        .join(ImageRow, ImageRow.image_id == LabelRow.image_id)
        .where(
            LabelRow.site == site, LabelRow.bundle_hash == bundle_hash, LabelRow.product == product,
            LabelRow.source.in_(RANDOM_SOURCES), LabelRow.use != DISPUTED,
        )
    )  # fmt: skip
    truth: Mapping[bool, list[dict[int, int]]] = {True: [], False: []}
    for label, verdict in rows:
        if verdict.get("defect_score") is not None:
            truth[label in manifest.good_labels].append({bin_of(verdict["defect_score"], scores.edges): 1})
    return TruthCounts(good=added(truth[True]), defect=added(truth[False]))
