"""Which kept images go to the monitor for labelling: `Sample` orders and the permanent audit.

Random draws depend on part ids alone, never on what was answered. Atypical images come on top, the farthest first,
once the random ones are complete. One part is uploaded at most once, whatever asked for it; what was chosen is on disk
before it leaves, and is tried again until the monitor takes or refuses it.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from contracts.errors import LinkError, OrderError, QuotaError
from contracts.frame import OutcomeSource
from contracts.orders import Sample
from contracts.upload import ImageUpload
from edge_agent.buffer import ImageBuffer, KeptImage
from edge_agent.draw import draw
from edge_agent.orders import Orders
from edge_agent.record import Record
from edge_agent.store import Store
from edge_agent.trouble import Trouble
from edge_agent.upload import ImageUploader

AUDIT = "audit"
_AUDITED = "audited_through"
_BEAT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 60.0
_log = logging.getLogger(__name__)


class Sampler:
    """Chooses images and uploads them, in a thread of its own."""

    def __init__(
        self,
        store: Store,
        record: Record,
        buffer: ImageBuffer,
        orders: Orders,
        uploader: ImageUploader,
        *,
        site: str,
        agent: str,
        count: Callable[[str], None],
    ) -> None:
        self._store, self._record, self._buffer, self._orders = store, record, buffer, orders
        self._uploader = uploader
        self._site, self._agent, self._count = site, agent, count
        self.trouble: Trouble | None = None
        """Why uploads wait now, or None."""

    @property
    def sent_bytes(self) -> int:
        """Of images, since the start."""
        return self._uploader.sent_bytes

    def run(self, stopping: threading.Event) -> None:
        """Until stopped: choose, upload, close what is complete."""
        wait = _BEAT_SECONDS
        while not stopping.wait(wait):
            try:
                self.choose()
                self.upload_waiting(stopping)
                self.close_finished(datetime.now(UTC))
                self.trouble, wait = None, _BEAT_SECONDS
            except (LinkError, QuotaError) as error:
                if self.trouble is None:
                    _log.warning("images wait to be uploaded: %s", error)
                self.trouble = Trouble(str(error), code="uploads-wait", details=str(error))
                wait = min(wait * 2, _LONGEST_WAIT_SECONDS)

    def choose(self) -> None:
        """Put images on the list of uploads: for the audit first, then for each open order."""
        self._choose_audit()
        for order in self._orders.open(Sample):
            with self._store.transaction() as db:
                found = _progress(db, order.order_id)
                missing = order.random - found["random"]
                if missing > 0:
                    self._choose_random(db, order, missing)
                elif order.atypical > found["atypical"]:
                    self._choose_atypical(db, order, order.atypical - found["atypical"])

    def upload_waiting(self, stopping: threading.Event) -> None:
        """Hand over everything that waits. Raises LinkError where the monitor is away."""
        for row in self._store.rows("SELECT * FROM uploads WHERE state = 'waiting' ORDER BY rowid"):
            if stopping.is_set():
                return
            state = self._hand_over(row)
            self._count(state)
            self._settle(row["part_id"], state)

    def close_finished(self, now: datetime) -> None:
        """Report orders whose numbers are reached, or whose time is over."""
        for order in self._orders.open(Sample):
            with self._store.transaction() as db:
                settled = _settled(db, order.order_id)
                if settled["random"] >= order.random and settled["atypical"] >= order.atypical:
                    self._orders.finish(order, details=settled)
                elif order.expires_at <= now:
                    reason = f"expired with {settled['random']} of {order.random} random images uploaded"
                    self._orders.fail(order, reason, details=settled)

    def _choose_audit(self) -> None:
        fraction = self._buffer.audit_fraction
        last = int(self._store.fact(_AUDITED) or 0)
        rows = self._store.rows("SELECT id, part_id FROM images WHERE id > ? ORDER BY id", (last,))
        if not rows:
            return
        with self._store.transaction() as db:
            for row in rows:
                if draw(AUDIT, row["part_id"]) < fraction:
                    _list(db, row, order_id=AUDIT, drawn=OutcomeSource.AUDIT)
            self._store.remember(_AUDITED, str(rows[-1]["id"]))

    def _choose_random(self, db: sqlite3.Connection, order: Sample, missing: int) -> None:
        candidates = db.execute(f"{_CANDIDATES} AND drawn = 1", _values(order)).fetchall()
        one_each = {row["part_id"]: row for row in candidates}
        chosen = sorted(one_each.values(), key=lambda row: draw(order.order_id, row["part_id"]))[:missing]
        for row in chosen:
            _list(db, row, order_id=order.order_id, drawn=OutcomeSource(order.purpose))

    def _choose_atypical(self, db: sqlite3.Connection, order: Sample, missing: int) -> None:
        query = f"{_CANDIDATES} AND distance IS NOT NULL ORDER BY distance DESC"
        chosen: dict[str, sqlite3.Row] = {}
        for row in db.execute(query, _values(order)):
            chosen.setdefault(row["part_id"], row)
            if len(chosen) == missing:
                break
        for row in chosen.values():
            _list(db, row, order_id=order.order_id, drawn=OutcomeSource.ATYPICAL)

    def _hand_over(self, row: sqlite3.Row) -> str:
        """Upload one image; returns its state from now on."""
        image = self._buffer.find(row["image"])
        data = None if image is None else _bytes(image)
        entry = None if image is None else self._record.latest_of(image.part_id, image.camera)
        if image is None or data is None or entry is None:
            return "lost"
        upload = ImageUpload(
            site=self._site,
            agent=self._agent,
            source=OutcomeSource(row["drawn"]),
            order_id=None if row["order_id"] == AUDIT else row["order_id"],
            verdict=entry.verdict,
        )
        try:
            self._uploader.post(upload, data, image.path.suffix)
        except OrderError as error:
            _log.warning("%s", error)
            return "refused"
        return "done"

    def _settle(self, part_id: str, state: str) -> None:
        with self._store.transaction() as db:
            db.execute("UPDATE uploads SET state = ? WHERE part_id = ?", (state, part_id))


_CANDIDATES = (
    "SELECT id, part_id FROM images WHERE camera = ? AND product = ? AND triggered_at >= ?"
    " AND NOT EXISTS (SELECT 1 FROM uploads WHERE uploads.part_id = images.part_id)"
)


def _values(order: Sample) -> tuple[str, str, float]:
    return order.camera, order.product, order.since.timestamp()


def _list(db: sqlite3.Connection, row: sqlite3.Row, *, order_id: str, drawn: OutcomeSource) -> None:
    db.execute(
        "INSERT OR IGNORE INTO uploads VALUES (?, ?, ?, ?, 'waiting')",
        (row["part_id"], order_id, drawn.value, row["id"]),
    )


def _progress(db: sqlite3.Connection, order_id: str) -> dict[str, int]:
    """Images chosen and not lost: `random`, `atypical`."""
    return _counts(db, order_id, ("waiting", "done"))


def _settled(db: sqlite3.Connection, order_id: str) -> dict[str, int]:
    """Images that the monitor has, and how many were lost or refused."""
    counts = _counts(db, order_id, ("done",))
    lost = _counts(db, order_id, ("lost", "refused"))
    return {**counts, "lost": lost["random"] + lost["atypical"]}


def _counts(db: sqlite3.Connection, order_id: str, states: tuple[str, ...]) -> dict[str, int]:
    counts = {"random": 0, "atypical": 0}
    for row in db.execute("SELECT drawn, state FROM uploads WHERE order_id = ?", (order_id,)):
        if row["state"] in states:
            counts["atypical" if row["drawn"] == OutcomeSource.ATYPICAL.value else "random"] += 1
    return counts


def _bytes(image: KeptImage) -> bytes | None:
    try:
        return image.path.read_bytes()
    except OSError:
        return None
