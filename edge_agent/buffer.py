"""Images kept on the station, for labelling and replay, under a disk quota.

Two kinds are kept: a random share of all parts (drawn by part id, without looking at the answer) and the least typical
ones. When the quota is reached the oldest go, and are counted. What a region of interest leaves out is
blackened before an image touches the disk.
"""

from __future__ import annotations

import io
import logging
import math
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

from edge_agent.draw import draw
from edge_agent.inspection import Inspection
from edge_agent.store import Store

_log = logging.getLogger(__name__)
_SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"BM": ".bmp", b"II*\0": ".tiff", b"MM\0*": ".tiff"}
_REMEMBERED = 500  # distances of one camera and product
_REFIT_EVERY = 50
_TRIMMED_TO = 0.95  # of the quota, so that trimming does not run for every image
_AT_ONCE = 20  # images that are dropped in one transaction: the line's commits go in between


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


class ImageBuffer:
    """A ring of image files with its index in the agent's database."""

    def __init__(
        self, store: Store, folder: Path, *, quota_bytes: int, random_fraction: float, atypical_fraction: float
    ) -> None:
        self._store, self._folder = store, folder
        self._quota_bytes = quota_bytes
        self._random_fraction = random_fraction
        self.audit_fraction = 0.0
        """Share of parts that the permanent audit draws; kept as well."""
        self._atypical = _Atypical(atypical_fraction)
        self._lock = threading.Lock()
        self._written = 0
        self.dropped = 0
        """Images that the quota or a full disk cost since the start."""
        folder.mkdir(parents=True, exist_ok=True)
        _reconcile(store, folder)
        self.bytes = int(store.rows("SELECT COALESCE(SUM(bytes), 0) AS bytes FROM images")[0]["bytes"])

    def offer(self, inspection: Inspection) -> Callable[[], None] | None:
        """Keep the image or not. The file is written at once; what is returned writes its row, within a commit."""
        if inspection.pixels is None or inspection.vector is None or self._quota_bytes == 0:
            return None
        part_id = inspection.verdict.frame.part_id
        number = draw("buffer", part_id)
        drawn = number < self._random_fraction or draw("audit", part_id) < self.audit_fraction
        atypical = self._atypical.stands_out(inspection)
        if not drawn and not atypical:
            return None
        data, suffix = _encoded(inspection)
        name = self._write(data, suffix)
        if name is None:
            return None
        return lambda: self._index(inspection, name, len(data), drawn=drawn, number=number)

    def trim(self) -> int:
        """Drop the oldest images until the quota is kept, a few at a time; those waiting for their upload go last.
        Returns how many."""
        if self.bytes <= self._quota_bytes:
            return 0
        target, dropped = int(self._quota_bytes * _TRIMMED_TO), 0
        while (excess := self.bytes - target) > 0:
            went = self._drop(_OLDEST, excess=excess) or self._drop(_OLDEST_WAITING, excess=excess)
            if went == 0:
                break
            dropped += went
        self.dropped += dropped
        return dropped

    def forget_before(self, moment: datetime) -> None:
        """Delete what was kept earlier (retention)."""
        while self._drop(_RECORDED_BEFORE, moment.timestamp()) == _AT_ONCE:
            pass

    def size(self) -> tuple[int, int]:
        """(images, bytes) on disk."""
        return int(self._store.rows("SELECT COUNT(*) AS n FROM images")[0]["n"]), self.bytes

    def find(self, number: int) -> KeptImage | None:
        """The image of that number while it is kept."""
        rows = self._store.rows("SELECT * FROM images WHERE id = ?", (number,))
        return self._kept(rows[0]) if rows else None

    def newest_drawn(self, limit: int) -> list[KeptImage]:
        """The newest images of the random share, oldest first."""
        rows = self._store.rows("SELECT * FROM images WHERE drawn = 1 ORDER BY id DESC LIMIT ?", (limit,))
        return [self._kept(row) for row in reversed(rows)]

    def _drop(self, query: str, *values: float, excess: float = math.inf) -> int:
        """Drop the first images that `query` finds, until `excess` bytes are gone; a few at most. Returns how many."""
        gone: list[sqlite3.Row] = []
        with self._store.transaction() as db:
            for row in db.execute(query, (*values, _AT_ONCE)).fetchall():
                if excess <= 0:
                    break
                gone.append(row)
                excess -= row["bytes"]
            db.executemany("DELETE FROM images WHERE id = ?", [(row["id"],) for row in gone])
        self._forget(gone)
        return len(gone)

    def _forget(self, rows: list[sqlite3.Row]) -> None:
        with self._lock:
            self.bytes -= sum(row["bytes"] for row in rows)
        for row in rows:
            (self._folder / row["file"]).unlink(missing_ok=True)

    def _write(self, data: bytes, suffix: str) -> str | None:
        with self._lock:
            self._written += 1
            name = f"{time.time_ns():x}-{self._written}{suffix}"
        try:
            (self._folder / name).write_bytes(data)
        except OSError as error:
            (self._folder / name).unlink(missing_ok=True)
            self.dropped += 1
            _log.warning("cannot keep an image in %s: %s; free disk space", self._folder, error)
            return None
        return name

    def _index(self, inspection: Inspection, name: str, size: int, *, drawn: bool, number: float) -> None:
        frame, verdict = inspection.verdict.frame, inspection.verdict
        with self._store.transaction() as db:
            db.execute(
                "INSERT INTO images (file, part_id, camera, product, triggered_at, drawn, draw, distance, decision,"
                " bundle_hash, bytes, recorded_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    name,
                    frame.part_id,
                    frame.camera,
                    frame.product,
                    frame.triggered_at.timestamp(),
                    drawn,
                    number,
                    inspection.distance,
                    verdict.decision.value,
                    verdict.bundle_hash,
                    size,
                    time.time(),
                ),
            )
        with self._lock:
            self.bytes += size

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


_WAITING = "EXISTS (SELECT 1 FROM uploads WHERE uploads.image = images.id AND uploads.state = 'waiting')"
_OLDEST = f"SELECT id, file, bytes FROM images WHERE NOT {_WAITING} ORDER BY id LIMIT ?"  # noqa: S608 - fixed words
_OLDEST_WAITING = f"SELECT id, file, bytes FROM images WHERE {_WAITING} ORDER BY id LIMIT ?"  # noqa: S608
_RECORDED_BEFORE = "SELECT id, file, bytes FROM images WHERE recorded_at < ? LIMIT ?"


class _Atypical:
    """Whether an image is among the farthest share of the last images of its camera, product and bundle."""

    def __init__(self, fraction: float) -> None:
        self._fraction = fraction
        self._distances: dict[tuple[str, str, str | None], deque[float]] = {}
        self._limits: dict[tuple[str, str, str | None], float] = {}
        self._lock = threading.Lock()

    def stands_out(self, inspection: Inspection) -> bool:
        """Also learns from the image."""
        if inspection.distance is None or self._fraction == 0.0:
            return False
        frame = inspection.verdict.frame
        key = (frame.camera, frame.product, inspection.verdict.bundle_hash)
        with self._lock:
            limit = self._limits.get(key)
            seen = self._distances.setdefault(key, deque(maxlen=_REMEMBERED))
            seen.append(inspection.distance)
            if (limit is None and len(seen) >= _REFIT_EVERY) or inspection.verdict.frame.sequence % _REFIT_EVERY == 0:
                self._limits[key] = float(np.quantile(seen, 1.0 - self._fraction))
        return limit is not None and inspection.distance > limit


def _encoded(inspection: Inspection) -> tuple[bytes, str]:
    """The image file to keep, and its suffix: as it came where that is a file and nothing must be hidden, else PNG."""
    image = inspection.capture.image
    if isinstance(image, bytes) and inspection.visible is None:
        for magic, suffix in _SUFFIXES.items():
            if image.startswith(magic):
                return image, suffix
    file = io.BytesIO()
    Image.fromarray(np.asarray(inspection.kept)).save(file, "PNG", compress_level=1)
    return file.getvalue(), ".png"


def _reconcile(store: Store, folder: Path) -> None:
    """After a kill: files without a row go, rows without a file go."""
    present = {path.name for path in folder.iterdir()}
    with store.transaction() as db:
        indexed = {row["file"]: row["id"] for row in db.execute("SELECT id, file FROM images")}
        lost = [(number,) for name, number in indexed.items() if name not in present]
        db.executemany("DELETE FROM images WHERE id = ?", lost)
    for name in present - set(indexed):
        (folder / name).unlink()
