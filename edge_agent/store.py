"""The agent's one database file: verdict record, parts, open windows, outbox, image index, orders.

One connection for everything, behind a lock (SQLite before 3.51.3 may lose a checkpoint where two connections write or
checkpoint at the same instant). The line's commits are the first to get it; whoever works beside the line holds it for
a few rows at a time. WAL with synchronous=FULL: what is committed survives kill -9 and loss of power.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from contracts.errors import ConfigurationError, QuotaError
from edge_agent.precedence import Precedence

VERSION = 6
_PARTS = """
CREATE TABLE parts (
    id INTEGER PRIMARY KEY AUTOINCREMENT, part TEXT NOT NULL, part_id TEXT NOT NULL, product TEXT NOT NULL,
    line TEXT NOT NULL, products TEXT NOT NULL, views TEXT NOT NULL, decided_at REAL, decision TEXT, missing TEXT,
    reason TEXT, late TEXT
);
CREATE INDEX parts_part ON parts (part_id);
CREATE INDEX parts_decided ON parts (decided_at);
"""
_BESIDE = """
CREATE INDEX IF NOT EXISTS images_recorded ON images (recorded_at);
CREATE INDEX IF NOT EXISTS uploads_waiting ON uploads (image) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS uploads_order ON uploads (order_id, drawn, state);
CREATE INDEX IF NOT EXISTS outcomes_decided ON outcomes (decided_at);
CREATE INDEX IF NOT EXISTS outbox_details ON outbox (id) WHERE sent = 0 AND kind IN ('birth', 'event');
CREATE INDEX IF NOT EXISTS outbox_windows ON outbox (id) WHERE sent = 0 AND kind IN ('window');
"""
"""What lets work beside the line find its rows without looking at all of them."""
_PICKED = """
DROP INDEX IF EXISTS images_distance;
CREATE INDEX images_reason ON images (reason, id);
CREATE INDEX images_far ON images (camera, product, distance) WHERE drawn = 0 AND distance IS NOT NULL;
CREATE INDEX images_near ON images (camera, product, margin) WHERE drawn = 0 AND margin IS NOT NULL;
CREATE INDEX images_contradicted ON images (camera, product, triggered_at) WHERE drawn = 0 AND contradicted = 1;
CREATE INDEX uploads_ended ON uploads (ended_at) WHERE ended_at IS NOT NULL;
"""
"""What finds images for the reason for which they are picked, and uploads that are long over."""
_WORTH = """
ALTER TABLE images ADD COLUMN margin REAL;
ALTER TABLE images ADD COLUMN reason TEXT NOT NULL DEFAULT 'random';
ALTER TABLE images ADD COLUMN contradicted INTEGER NOT NULL DEFAULT 0;
UPDATE images SET reason = 'atypical' WHERE drawn = 0;
ALTER TABLE uploads ADD COLUMN ended_at REAL;
UPDATE uploads SET ended_at = CAST(strftime('%s', 'now') AS REAL) WHERE state != 'waiting';
"""
_SCHEMA = """
CREATE TABLE verdicts (
    id INTEGER PRIMARY KEY AUTOINCREMENT, part_id TEXT NOT NULL, camera TEXT NOT NULL, product TEXT NOT NULL,
    sequence INTEGER NOT NULL, triggered_at REAL NOT NULL, frame TEXT NOT NULL, decision TEXT NOT NULL, label TEXT,
    defect_score REAL, threshold REAL, scores TEXT NOT NULL, bundle_hash TEXT, latency_seconds REAL, reason TEXT,
    reference TEXT, recorded_at REAL NOT NULL, severity TEXT, box TEXT, review_from REAL, thresholds_number INTEGER
);
CREATE INDEX verdicts_recorded ON verdicts (recorded_at);
CREATE INDEX verdicts_part ON verdicts (part_id);
CREATE INDEX verdicts_reference ON verdicts (reference) WHERE reference IS NOT NULL;
CREATE TABLE outcomes (
    id INTEGER PRIMARY KEY AUTOINCREMENT, part_id TEXT NOT NULL, camera TEXT, label TEXT NOT NULL, source TEXT NOT NULL,
    rater TEXT NOT NULL, decided_at REAL NOT NULL
);
CREATE INDEX outcomes_part ON outcomes (part_id);
CREATE TABLE cameras (
    camera TEXT PRIMARY KEY, last_sequence INTEGER NOT NULL, product TEXT NOT NULL, source TEXT NOT NULL
);
CREATE TABLE open_windows (key TEXT PRIMARY KEY, state TEXT NOT NULL);
CREATE TABLE boots (
    number INTEGER PRIMARY KEY AUTOINCREMENT, boot TEXT NOT NULL UNIQUE, last_sequence INTEGER NOT NULL,
    started_at REAL NOT NULL
);
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, boot TEXT NOT NULL, sequence INTEGER NOT NULL, last INTEGER NOT NULL,
    kind TEXT NOT NULL, body TEXT NOT NULL, made_at REAL NOT NULL, bytes INTEGER NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0, UNIQUE (boot, sequence)
);
CREATE INDEX outbox_bytes ON outbox (bytes);
CREATE TABLE images (
    id INTEGER PRIMARY KEY AUTOINCREMENT, file TEXT NOT NULL UNIQUE, part_id TEXT NOT NULL, camera TEXT NOT NULL,
    product TEXT NOT NULL, triggered_at REAL NOT NULL, drawn INTEGER NOT NULL, draw REAL NOT NULL, distance REAL,
    decision TEXT NOT NULL, bundle_hash TEXT, bytes INTEGER NOT NULL, recorded_at REAL NOT NULL, margin REAL,
    reason TEXT NOT NULL DEFAULT 'random', contradicted INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX images_camera ON images (camera, product, triggered_at);
CREATE INDEX images_part ON images (part_id);
CREATE TABLE orders (
    order_id TEXT PRIMARY KEY, kind TEXT NOT NULL, body TEXT NOT NULL, state TEXT NOT NULL, received_at REAL NOT NULL
);
CREATE TABLE uploads (
    part_id TEXT PRIMARY KEY, order_id TEXT NOT NULL, drawn TEXT NOT NULL, image INTEGER NOT NULL, state TEXT NOT NULL,
    ended_at REAL
);
CREATE INDEX uploads_state ON uploads (state);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_PIECE = 200  # rows that are deleted at once
_CHANGES = {
    1: "ALTER TABLE verdicts ADD COLUMN severity TEXT; ALTER TABLE verdicts ADD COLUMN box TEXT;",
    2: _PARTS,
    3: "ALTER TABLE verdicts ADD COLUMN review_from REAL; ALTER TABLE verdicts ADD COLUMN thresholds_number INTEGER;",
    4: _BESIDE,
    5: _WORTH + _PICKED,
}
"""From each older version to the next one."""


class Store:
    """The database of one agent. Raises ConfigurationError where the file is not ours or of a newer version."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Precedence()
        self._depth = 0
        self._db = _open(path)

    @contextmanager
    def transaction(self, *, first: bool = False) -> Iterator[sqlite3.Connection]:
        """One transaction; inside another one it is part of it. `first`: before all others that wait, for what a line
        waits for. Raises QuotaError where the disk is full."""
        with self._lock.held(first=first):
            outermost = self._depth == 0
            try:
                if outermost:
                    self._db.execute("BEGIN IMMEDIATE")
                self._depth += 1
                try:
                    yield self._db
                finally:
                    self._depth -= 1
                if outermost:
                    self._db.execute("COMMIT")
            except BaseException as error:
                if outermost and self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if isinstance(error, sqlite3.OperationalError):
                    raise QuotaError(f"cannot write {self.path}: {error}; free disk space or check the disk") from error
                raise

    def rows(self, query: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        """All rows of a reading query."""
        with self._lock.held():
            return self._db.execute(query, values).fetchall()

    def fact(self, name: str) -> str | None:
        """A remembered setting."""
        found = self.rows("SELECT value FROM facts WHERE name = ?", (name,))
        return str(found[0]["value"]) if found else None

    def remember(self, name: str, value: str) -> None:
        """Remember a setting over restarts."""
        with self.transaction() as db:
            db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def forget_before(self, table: str, column: str, seconds: float, *, most: int = 5000) -> int:
        """Delete the rows of a table whose `column` (seconds since 1970, indexed) is earlier; at most so many, in small
        pieces between which the line has its turn. Returns how many went."""
        query = f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE {column} < ? LIMIT ?)"  # noqa: S608
        gone = 0
        while gone < most:
            with self.transaction() as db:
                went = db.execute(query, (seconds, _PIECE)).rowcount
            gone += went
            if went < _PIECE:
                break
        return gone

    def close(self) -> None:
        """Close the file; the store is of no use afterwards."""
        with self._lock.held():
            self._db.close()


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
    db.row_factory = sqlite3.Row
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise ConfigurationError(f"{path} was written by a newer version ({version}); install that version again")
        if version == 0:
            db.executescript(f"BEGIN; {_SCHEMA} {_PARTS} {_BESIDE} {_PICKED} PRAGMA user_version = {VERSION}; COMMIT;")
            version = VERSION
        for older in range(version, VERSION):
            db.executescript(f"BEGIN; {_CHANGES[older]} PRAGMA user_version = {older + 1}; COMMIT;")
    except sqlite3.DatabaseError as error:
        db.close()
        raise ConfigurationError(f"{path} cannot be used as the agent's database: {error}; move it away") from error
    except ConfigurationError:
        db.close()
        raise
    return db
