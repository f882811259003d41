"""How the outbox forgets when its disk cap is reached, without a gap in the sequences.

First births and events go, oldest first; then windows are merged in pairs, oldest first, so that what is long ago gets
coarser and no image leaves the sums. A tombstone (event `dropped`) stands in for the sequences that lost their message.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from itertools import groupby

from contracts.telemetry import Event, EventKind, Window
from edge_agent.merging import merge

_CHUNK = 20  # messages, or pairs of windows, in one transaction: the line waits for it
_TOMBSTONE = "dropped"
_OLDEST = "SELECT * FROM outbox WHERE sent = 0 AND kind IN ({kinds}) ORDER BY id LIMIT ?"


def drop_oldest(db: sqlite3.Connection) -> int:
    """Drop the oldest births and events that were not sent; returns how many."""
    rows = db.execute(_OLDEST.format(kinds="'birth', 'event'"), (_CHUNK,)).fetchall()
    _bury(db, rows, "the outbox reached its disk cap")
    return len(rows)


def merge_oldest(db: sqlite3.Connection) -> int:
    """Merge the oldest windows that were not sent in pairs; returns how many gave up their place."""
    rows = db.execute(_OLDEST.format(kinds="'window'"), (2 * _CHUNK,)).fetchall()
    absorbed = []
    for _, same in groupby(sorted(rows, key=_mergeable), key=_mergeable):
        members = list(same)
        for first, second in zip(members[::2], members[1::2], strict=False):
            merged = merge(Window.model_validate_json(first["body"]), Window.model_validate_json(second["body"]))
            text = merged.model_dump_json()
            db.execute("UPDATE outbox SET body = ?, bytes = ? WHERE id = ?", (text, len(text), first["id"]))
            absorbed.append(second)
    _bury(db, sorted(absorbed, key=lambda row: int(row["id"])), "merged into an earlier window at the disk cap")
    return len(absorbed)


def _mergeable(row: sqlite3.Row) -> tuple[str, ...]:
    """Equal for windows whose sums add up; the order of arrival decides among them (sorting is stable)."""
    window = Window.model_validate_json(row["body"])
    return (row["boot"], window.camera, window.product, window.bundle_hash, window.runtime, *window.vector_names)


def _bury(db: sqlite3.Connection, rows: list[sqlite3.Row], reason: str) -> None:
    """Put tombstones in the place of these messages, one for each run of neighbours."""
    for row in rows:
        before = _tombstone_before(db, row)
        stone = row if before is None else before
        if before is not None:
            db.execute("DELETE FROM outbox WHERE id = ?", (row["id"],))
        text = Event(
            event=EventKind.DROPPED,
            at=datetime.now(UTC),
            reason=reason,
            last_sequence=row["last"],
            details={"messages": row["last"] - stone["sequence"] + 1},
        ).model_dump_json()
        db.execute(
            "UPDATE outbox SET kind = ?, body = ?, bytes = ?, last = ? WHERE id = ?",
            (_TOMBSTONE, text, len(text), row["last"], stone["id"]),
        )


def _tombstone_before(db: sqlite3.Connection, row: sqlite3.Row) -> sqlite3.Row | None:
    """The tombstone that ends just before this message and can still grow, or None."""
    found: sqlite3.Row | None = db.execute(
        "SELECT * FROM outbox WHERE boot = ? AND sequence < ? ORDER BY sequence DESC LIMIT 1",
        (row["boot"], row["sequence"]),
    ).fetchone()
    if found is None or found["kind"] != _TOMBSTONE or found["sent"] or found["last"] != row["sequence"] - 1:
        return None
    return found
