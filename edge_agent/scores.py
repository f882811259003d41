"""The defect scores on this agent's record, counted: what a preview of other thresholds needs, and all that leaves."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.errors import BundleError, OrderError
from contracts.orders import CountScores
from contracts.scores import EDGES, Scores, bin_of
from contracts.thresholds import Thresholds
from edge_agent.activation import Bundles
from edge_agent.orders import Orders
from edge_agent.patience import patience
from edge_agent.store import Store
from runtime.bundle import Bundle, open_bundle

_BEAT_SECONDS = 0.5
_CHUNK = 1000  # rows in one query, which holds up the record for some milliseconds
_QUERY = """
SELECT v.*, o.label AS outcome FROM (
    SELECT id, part_id, camera, recorded_at, defect_score, label, decision, bundle_hash, product FROM verdicts
    WHERE (recorded_at, id) > (?, ?) AND recorded_at <= ? ORDER BY recorded_at, id LIMIT ?
) v LEFT JOIN outcomes o ON o.id = (
    SELECT max(id) FROM outcomes WHERE part_id = v.part_id AND (camera IS NULL OR camera = v.camera)
)
"""
_log = logging.getLogger(__name__)

Rows = Callable[[str, tuple[Any, ...]], Sequence[Any]]
"""Runs a reading query on an agent's database."""


def count_scores(
    rows: Rows,
    *,
    bundle_hash: str,
    product: str,
    good_labels: Sequence[str],
    days: int,
    until: datetime,
    edges: Sequence[float] = EDGES,
    rest: Callable[[], object] = lambda: None,
) -> Scores:
    """Of the verdicts that were put on record in the `days` before `until`. `rest` is called between two queries."""
    since = until - timedelta(days=days)
    by_day: dict[Any, Counter[int]] = defaultdict(Counter)
    by_label: dict[str, Counter[int]] = defaultdict(Counter)
    truth: dict[bool, Counter[int]] = {True: Counter(), False: Counter()}
    decisions: Counter[str] = Counter()
    for row in _since(rows, since, until, (bundle_hash, product), rest):
        place = bin_of(row["defect_score"], edges)
        by_day[datetime.fromtimestamp(row["recorded_at"], UTC).date()][place] += 1
        by_label[row["label"]][place] += 1
        decisions[row["decision"]] += 1
        if row["outcome"] is not None:
            truth[row["outcome"] in good_labels][place] += 1
    return Scores.model_validate(
        {
            "bundle_hash": bundle_hash, "product": product, "since": since, "until": until, "edges": tuple(edges),
            "days": by_day, "labels": by_label, "decisions": decisions,
            "outcomes": {"good": truth[True], "defect": truth[False]},
        }
    )  # fmt: skip


def edges_with(*thresholds: Thresholds) -> tuple[float, ...]:
    """The usual edges and these thresholds: what decides now is counted exactly."""
    return tuple(sorted({*EDGES, *(value for each in thresholds for value in (each.ng, each.review_from))}))


class ScoreCounter:
    """Carries out `CountScores` orders in a thread of its own, giving way to the line."""

    def __init__(self, store: Store, orders: Orders, bundles: Bundles) -> None:
        self._store, self._orders, self._bundles = store, orders, bundles

    def accept(self, order: CountScores) -> None:
        """Raises OrderError where this device cannot carry it out."""
        self._bundle(order.bundle_hash)

    def run(self, stopping: threading.Event) -> None:
        """Until stopped: count what is asked."""
        while not stopping.wait(_BEAT_SECONDS):
            with patience("counting of scores", stopping):
                for order in self._orders.open(CountScores):
                    self._answer(order, stopping)

    def _answer(self, order: CountScores, stopping: threading.Event) -> None:
        try:
            self._attend(order, stopping)
        except (OrderError, BundleError) as error:
            _log.warning("order %s: %s", order.order_id, error)
            self._orders.fail(order, str(error)[:1000])

    def _attend(self, order: CountScores, stopping: threading.Event) -> None:
        if order.expires_at <= datetime.now(UTC):
            self._orders.fail(order, "it expired before its turn came")
            return
        bundle = self._bundle(order.bundle_hash)
        deciding = self._bundles.thresholds.book(bundle).of(order.product)
        found = count_scores(
            self._store.rows,
            bundle_hash=order.bundle_hash,
            product=order.product,
            good_labels=bundle.manifest.good_labels,
            days=order.days,
            until=datetime.now(UTC),
            edges=edges_with(bundle.manifest.thresholds, deciding.rule.thresholds),
            rest=_giving_way(stopping),
        )
        if not stopping.is_set():
            self._orders.finish(order, details=found.model_dump(mode="json"))

    def _bundle(self, bundle_hash: str) -> Bundle:
        place = self._bundles.place(bundle_hash)
        if place is None:
            raise OrderError(f"bundle {bundle_hash[:12]} no longer lies on this device; its classes are not known here")
        return open_bundle(place, expected_hash=bundle_hash)


def _since(
    rows: Rows, since: datetime, until: datetime, what: tuple[str, str], rest: Callable[[], object]
) -> Iterator[Any]:
    """Rows of that time, bundle and product with a score, in pieces: the record has one connection, and the line waits
    while it is read."""
    last, number = since.timestamp(), 0
    while found := rows(_QUERY, (last, number, until.timestamp(), _CHUNK)):
        for row in found:
            if (row["bundle_hash"], row["product"]) == what and row["defect_score"] is not None:
                yield row
        last, number = found[-1]["recorded_at"], found[-1]["id"]
        rest()


def _giving_way(stopping: threading.Event) -> Callable[[], None]:
    """Rests after each query as long as it took, at most half of one core."""
    last = time.monotonic()

    def rest() -> None:
        nonlocal last
        stopping.wait(min(time.monotonic() - last, 1.0))
        last = time.monotonic()

    return rest
