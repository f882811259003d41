"""The index of kept images in the agent's database: which file shows which part, and why it is kept."""

from __future__ import annotations

import math
import sqlite3
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge_agent.draw import draw
from edge_agent.keepsake import Keepsake
from edge_agent.store import Store
from edge_agent.worth import Worth, margin

AT_ONCE = 20  # images that are dropped in one transaction: the line's commits go in between
_OF_PART = "WHERE part_id = ? AND camera = ?"
_WAITING = "EXISTS (SELECT 1 FROM uploads WHERE uploads.image = images.id AND uploads.state = 'waiting')"
_DROPPED = "SELECT id, file, bytes, reason FROM images"
OLDEST = f"{_DROPPED} WHERE reason = ? AND NOT {_WAITING} ORDER BY id LIMIT ?"
OLDEST_WAITING = f"{_DROPPED} WHERE reason = ? AND {_WAITING} ORDER BY id LIMIT ?"
RECORDED_BEFORE = f"{_DROPPED} WHERE recorded_at < ? LIMIT ?"


@dataclass(frozen=True)
class KeptImage:
    """A row of the image index. `drawn`: kept by the random draw, not for what it shows."""

    number: int
    path: Path
    part_id: str
    camera: str
    product: str
    triggered_at: datetime
    drawn: bool
    distance: float | None
    decision: str
    bundle_hash: str | None


class Index:
    """Rows of images whose files lie in `folder`."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store, self._folder = store, folder

    def add(self, image: Keepsake, file: str, size: int, worth: Worth) -> None:
        """One more image; joins an open transaction."""
        verdict, frame = image.verdict, image.verdict.frame
        row = {
            "file": file,
            "part_id": frame.part_id,
            "camera": frame.camera,
            "product": frame.product,
            "triggered_at": frame.triggered_at.timestamp(),
            "drawn": worth is Worth.RANDOM,
            "draw": draw("buffer", frame.part_id),
            "distance": image.distance,
            "margin": margin(verdict),
            "decision": verdict.decision.value,
            "bundle_hash": verdict.bundle_hash,
            "bytes": size,
            "recorded_at": time.time(),
            "reason": worth.value,
            "contradicted": worth is Worth.OVERRULED,
        }
        places = ", ".join(f":{name}" for name in row)
        with self._store.transaction() as db:
            db.execute(f"INSERT INTO images ({', '.join(row)}) VALUES ({places})", row)  # noqa: S608 - fixed words

    def mark(self, part_id: str, camera: str, *, wrong: bool) -> tuple[bool, list[sqlite3.Row]]:
        """Note on the images of a part whether its verdict was contradicted: whether there are any, and the rows
        (`reason`, `bytes`) of those that are kept for this from now on, since they were not drawn."""
        found = self._store.rows(f"SELECT id, drawn, reason, bytes FROM images {_OF_PART}", (part_id, camera))  # noqa: S608
        over = Worth.OVERRULED.value
        moved = [row for row in found if wrong and not row["drawn"] and row["reason"] != over]
        if found:
            with self._store.transaction() as db:
                db.execute(f"UPDATE images SET contradicted = ? {_OF_PART}", (wrong, part_id, camera))  # noqa: S608
                db.executemany("UPDATE images SET reason = ? WHERE id = ?", [(over, row["id"]) for row in moved])
        return bool(found), moved

    def drop(self, query: str, *values: float | str, excess: float = math.inf) -> list[sqlite3.Row]:
        """Drop the first images that `query` finds, until `excess` bytes are gone; a few at most. Returns the rows
        (`file`, `bytes`, `reason`)."""
        gone: list[sqlite3.Row] = []
        with self._store.transaction() as db:
            for row in db.execute(query, (*values, AT_ONCE)).fetchall():
                if excess <= 0:
                    break
                gone.append(row)
                excess -= row["bytes"]
            db.executemany("DELETE FROM images WHERE id = ?", [(row["id"],) for row in gone])
        return gone

    def sizes(self) -> dict[Worth, int]:
        """Bytes on disk, for each reason."""
        rows = self._store.rows("SELECT reason, SUM(bytes) AS bytes FROM images GROUP BY reason")
        return dict.fromkeys(Worth, 0) | {Worth(row["reason"]): int(row["bytes"]) for row in rows}

    def count(self) -> int:
        """How many there are."""
        return int(self._store.rows("SELECT COUNT(*) AS n FROM images")[0]["n"])

    def find(self, number: int) -> KeptImage | None:
        """The image of that number while it is kept."""
        rows = self._store.rows("SELECT * FROM images WHERE id = ?", (number,))
        return self._kept(rows[0]) if rows else None

    def newest_drawn(self, limit: int) -> list[KeptImage]:
        """The newest images of the random share, oldest first."""
        rows = self._store.rows("SELECT * FROM images WHERE drawn = 1 ORDER BY id DESC LIMIT ?", (limit,))
        return [self._kept(row) for row in reversed(rows)]

    def reconcile(self) -> None:
        """After a kill: files without a row go, rows without a file go."""
        present = {path.name for path in self._folder.iterdir()}
        with self._store.transaction() as db:
            indexed = {row["file"]: row["id"] for row in db.execute("SELECT id, file FROM images")}
            lost = [(number,) for name, number in indexed.items() if name not in present]
            db.executemany("DELETE FROM images WHERE id = ?", lost)
        for name in present - set(indexed):
            (self._folder / name).unlink()

    def _kept(self, row: sqlite3.Row) -> KeptImage:
        return KeptImage(
            number=row["id"],
            path=self._folder / row["file"],
            part_id=row["part_id"],
            camera=row["camera"],
            product=row["product"],
            triggered_at=datetime.fromtimestamp(row["triggered_at"], UTC),
            drawn=bool(row["drawn"]),
            distance=row["distance"],
            decision=row["decision"],
            bundle_hash=row["bundle_hash"],
        )
