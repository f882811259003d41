"""Which kept images an order may have, found a few rows at a time: the line's commits go in between.

What is picked for what it shows, or for what was said of it, is never an image of the random share: an order that asks
for more random images later would else draw from a share that lacks just the odd ones and the errors, and prove too
little. The price: of a station that keeps every image (`buffer.random_fraction` = 1) nothing is picked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence

from contracts.frame import OutcomeSource
from contracts.orders import Sample
from edge_agent.draw import draw
from edge_agent.store import Store

_PIECE = 200  # images that are looked at with one question
_OF_ORDER = (
    "SELECT id, part_id, triggered_at FROM images INDEXED BY {index} WHERE camera = ? AND product = ?"
    " AND triggered_at >= ? AND NOT EXISTS (SELECT 1 FROM uploads WHERE uploads.part_id = images.part_id)"
)
_UNSPOKEN_OF = "AND contradicted = 0"  # else a rater's label counts beside what the line said of the same part
_BEST_FIRST = {
    OutcomeSource.ATYPICAL: ("images_far", f"distance IS NOT NULL {_UNSPOKEN_OF} ORDER BY distance DESC"),
    OutcomeSource.UNSURE: ("images_near", f"margin IS NOT NULL {_UNSPOKEN_OF} ORDER BY margin"),
    OutcomeSource.OVERRULED: ("images_contradicted", "contradicted = 1 ORDER BY triggered_at DESC"),
}
"""Index, condition and order of what is picked for each reason."""


class Candidates:
    """Images of the index that are not on the list of uploads yet. `between` is called between two questions."""

    def __init__(self, store: Store, *, between: Callable[[], None] = lambda: None) -> None:
        self._store, self._between = store, between

    def newest(self) -> int:
        """Number of the newest image; 0 where there is none."""
        return int(self._store.rows("SELECT COALESCE(MAX(id), 0) AS newest FROM images")[0]["newest"])

    def after(self, number: int, limit: int) -> list[sqlite3.Row]:
        """`id`, `part_id` and `drawn` of the next images above that number, whoever wants them."""
        query = "SELECT id, part_id, drawn FROM images WHERE id > ? ORDER BY id LIMIT ?"
        return self._store.rows(query, (number, limit))

    def drawn(self, order: Sample, missing: int) -> list[sqlite3.Row]:
        """Images of the random share that the order draws next, each part once."""
        best: dict[str, tuple[float, sqlite3.Row]] = {}
        for rows in self._random(order):
            best |= {row["part_id"]: (draw(order.order_id, row["part_id"]), row) for row in rows}
            best = dict(sorted(best.items(), key=lambda each: each[1][0])[:missing])
        return [row for _, row in best.values()]

    def picked(self, order: Sample, source: OutcomeSource, missing: int) -> list[sqlite3.Row]:
        """Images outside the random share, the most telling first. Of a part that several show, one will be taken: then
        they are fewer than `missing`, and the next question finds the others."""
        index, best_first = _BEST_FIRST[source]
        query = f"{_OF_ORDER.format(index=index)} AND drawn = 0 AND {best_first} LIMIT ?"
        return self._store.rows(query, (*_values(order), missing))

    def _random(self, order: Sample) -> Iterator[Sequence[sqlite3.Row]]:
        """All of the random share, in the order in which they were taken."""
        of_order = _OF_ORDER.format(index="images_camera")
        query = f"{of_order} AND drawn = 1 AND (triggered_at, id) > (?, ?) ORDER BY triggered_at, id LIMIT ?"
        place = (order.since.timestamp(), 0)
        while rows := self._store.rows(query, (*_values(order), *place, _PIECE)):
            yield rows
            place = (rows[-1]["triggered_at"], rows[-1]["id"])
            self._between()


def _values(order: Sample) -> tuple[str, str, float]:
    return order.camera, order.product, order.since.timestamp()
