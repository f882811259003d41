"""The agent's database as an older version left it: what newer versions added is taken away again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

_UNDONE = {
    6: """
        DROP INDEX images_reason; DROP INDEX images_far; DROP INDEX images_near; DROP INDEX images_contradicted;
        DROP INDEX uploads_ended;
        ALTER TABLE images DROP COLUMN margin; ALTER TABLE images DROP COLUMN reason;
        ALTER TABLE images DROP COLUMN contradicted; ALTER TABLE uploads DROP COLUMN ended_at;
        CREATE INDEX images_distance ON images (camera, product, distance) WHERE distance IS NOT NULL;
    """,
    5: """
        DROP INDEX images_distance; DROP INDEX images_recorded; DROP INDEX uploads_waiting; DROP INDEX uploads_order;
        DROP INDEX outcomes_decided; DROP INDEX outbox_details; DROP INDEX outbox_windows;
    """,
    4: "ALTER TABLE verdicts DROP COLUMN review_from; ALTER TABLE verdicts DROP COLUMN thresholds_number;",
    3: "DROP TABLE parts;",
    2: "ALTER TABLE verdicts DROP COLUMN severity; ALTER TABLE verdicts DROP COLUMN box;",
}
"""By the version that added it."""


def make_older(path: Path, version: int) -> None:
    """Take the database of today's version back to an earlier one; nobody may have it open."""
    with closing(sqlite3.connect(path)) as db:
        for newer in (number for number in _UNDONE if number > version):
            db.executescript(_UNDONE[newer])
        db.executescript(f"PRAGMA user_version = {version}")
