"""The list of images that are to go, or have gone, to the monitor: each part once, whatever asked for it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from datetime import datetime

from contracts.frame import PICKED_SOURCES, RANDOM_SOURCES, OutcomeSource
from edge_agent.store import Store

_COUNTED = "SELECT drawn, state, COUNT(*) AS n FROM uploads WHERE order_id = ? GROUP BY drawn, state"
_OVER = (
    "SELECT rowid FROM uploads WHERE ended_at < ?"
    " AND NOT EXISTS (SELECT 1 FROM orders WHERE orders.order_id = uploads.order_id AND orders.state = 'open') LIMIT ?"
)
_PIECE = 200  # rows that are deleted at once
RANDOM = "random"
"""What the random draws of an order are counted as; the others as their source."""


class Uploads:
    """Rows of the agent's database. `state`: waiting, done, refused or lost."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, rows: Sequence[sqlite3.Row], *, order_id: str, source: OutcomeSource) -> None:
        """List images (`id`, `part_id`); those of parts that are listed are left out. Joins an open transaction."""
        if rows:
            with self._store.transaction() as db:
                db.executemany(
                    "INSERT OR IGNORE INTO uploads (part_id, order_id, drawn, image, state)"
                    " VALUES (?, ?, ?, ?, 'waiting')",
                    [(row["part_id"], order_id, source.value, row["id"]) for row in rows],
                )

    def waiting(self) -> list[sqlite3.Row]:
        """What is still to be handed over, in the order in which it was listed."""
        return self._store.rows("SELECT * FROM uploads WHERE state = 'waiting' ORDER BY rowid")

    def settle(self, ended: list[tuple[str, str]]) -> None:
        """Write down how these uploads (state, part) ended, and forget them here."""
        if ended:
            now = time.time()
            with self._store.transaction() as db:
                db.executemany(
                    "UPDATE uploads SET state = ?, ended_at = ? WHERE part_id = ?",
                    [(state, now, part_id) for state, part_id in ended],
                )
            ended.clear()

    def progress(self, order_id: str) -> dict[str, int]:
        """Images chosen and not lost, by `random` or the source for which they were picked."""
        return self._counts(order_id, ("waiting", "done"))

    def settled(self, order_id: str) -> dict[str, int]:
        """Images that the monitor has, likewise, and how many were lost or refused."""
        lost = self._counts(order_id, ("lost", "refused"))
        return {**self._counts(order_id, ("done",)), "lost": sum(lost.values())}

    def forget_before(self, moment: datetime) -> None:
        """Delete what ended earlier, a few rows at a time; not of orders that are open and count it. By then the images
        must be gone from the buffer, or they could be chosen once more."""
        query = f"DELETE FROM uploads WHERE rowid IN ({_OVER})"  # noqa: S608 - fixed words
        went = _PIECE
        while went == _PIECE:
            with self._store.transaction() as db:
                went = db.execute(query, (moment.timestamp(), _PIECE)).rowcount

    def _counts(self, order_id: str, states: tuple[str, ...]) -> dict[str, int]:
        counts = dict.fromkeys((RANDOM, *(source.value for source in PICKED_SOURCES)), 0)
        for row in self._store.rows(_COUNTED, (order_id,)):
            if row["state"] in states:
                counts[_kind(OutcomeSource(row["drawn"]))] += row["n"]
        return counts


def _kind(source: OutcomeSource) -> str:
    return RANDOM if source in RANDOM_SOURCES else source.value
