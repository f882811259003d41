"""Which kept images go to the monitor for labelling: `Sample` orders and the permanent audit.

Random draws depend on part ids alone, never on what was answered. Atypical images come on top, the farthest first,
once the random ones are complete. One part is uploaded at most once, whatever asked for it; what was chosen is on disk
before it leaves, and is tried again until the monitor takes or refuses it. How that ended is written down for a few at
a time: after a kill those are offered once more, and the monitor says that it has them.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from contracts.errors import LinkError, OrderError, QuotaError
from contracts.frame import OutcomeSource
from contracts.orders import Sample
from contracts.upload import ImageUpload
from edge_agent.buffer import ImageBuffer, KeptImage
from edge_agent.candidates import Candidates
from edge_agent.courtesy import Courtesy
from edge_agent.draw import draw
from edge_agent.orders import Orders
from edge_agent.record import Record
from edge_agent.store import Store
from edge_agent.trouble import Trouble
from edge_agent.upload import ImageUploader

AUDIT = "audit"
_COUNTED = "SELECT drawn, state, COUNT(*) AS n FROM uploads WHERE order_id = ? GROUP BY drawn, state"
_AUDITED = "audited_through"
_BEAT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 60.0
_SETTLED_TOGETHER = 16  # uploads whose end is written down in one commit
_LOOKED_AT = 500  # images that the audit looks at with one question
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
        courtesy: Courtesy,
    ) -> None:
        self._store, self._record, self._buffer, self._orders = store, record, buffer, orders
        self._courtesy = courtesy
        self._candidates = Candidates(store, between=courtesy.breathe)
        self._audited = self._remembered = int(store.fact(_AUDITED) or 0)  # number of an image
        self._looked: dict[str, tuple[int, ...]] = {}  # order -> what there was when it was last looked at
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
        """Put images on the list of uploads: for the audit first, then for each open order. Only what is chosen is
        written, and nothing is looked at twice."""
        self._choose_audit()
        newest = self._candidates.newest()
        for order in self._orders.open(Sample):
            found = _progress(self._store, order.order_id)
            seen = (newest, found["random"], found["atypical"])
            if self._looked.get(order.order_id) != seen:
                self._choose_for(order, found)
                self._looked[order.order_id] = seen

    def _choose_for(self, order: Sample, found: dict[str, int]) -> None:
        if order.random > found["random"]:
            chosen = self._candidates.drawn(order, order.random - found["random"])
            self._list(chosen, order_id=order.order_id, drawn=OutcomeSource(order.purpose))
        elif order.atypical > found["atypical"]:
            chosen = self._candidates.farthest(order, order.atypical - found["atypical"])
            self._list(chosen, order_id=order.order_id, drawn=OutcomeSource.ATYPICAL)

    def upload_waiting(self, stopping: threading.Event) -> None:
        """Hand over everything that waits, slowly while the line works. Raises LinkError where the monitor is away."""
        ended: list[tuple[str, str]] = []
        try:
            for row in self._store.rows("SELECT * FROM uploads WHERE state = 'waiting' ORDER BY rowid"):
                if stopping.is_set():
                    return
                began = time.monotonic()
                ended.append((self._hand_over(row), row["part_id"]))
                self._count(ended[-1][0])
                if len(ended) == _SETTLED_TOGETHER:
                    self._settle(ended)
                self._courtesy.rest(time.monotonic() - began, stopping)
        finally:
            self._settle(ended)

    def close_finished(self, now: datetime) -> None:
        """Report orders whose numbers are reached, or whose time is over."""
        for order in self._orders.open(Sample):
            settled = _settled(self._store, order.order_id)
            if settled["random"] >= order.random and settled["atypical"] >= order.atypical:
                self._orders.finish(order, details=settled)
            elif order.expires_at <= now:
                reason = f"expired with {settled['random']} of {order.random} random images uploaded"
                self._orders.fail(order, reason, details=settled)
            else:
                continue
            self._looked.pop(order.order_id, None)

    def _choose_audit(self) -> None:
        """Images that it passes over are not written down one by one: after a restart the last few are drawn again,
        with the same result."""
        fraction = self._buffer.audit_fraction
        while rows := self._candidates.after(self._audited, _LOOKED_AT):
            chosen = [row for row in rows if draw(AUDIT, row["part_id"]) < fraction]
            self._audited = rows[-1]["id"]
            if chosen or self._audited - self._remembered >= _LOOKED_AT:
                with self._store.transaction():
                    self._list(chosen, order_id=AUDIT, drawn=OutcomeSource.AUDIT)
                    self._store.remember(_AUDITED, str(self._audited))
                self._remembered = self._audited

    def _list(self, rows: Sequence[sqlite3.Row], *, order_id: str, drawn: OutcomeSource) -> None:
        """Put images on the list of uploads; joins an open transaction."""
        if rows:
            with self._store.transaction() as db:
                db.executemany(
                    "INSERT OR IGNORE INTO uploads VALUES (?, ?, ?, ?, 'waiting')",
                    [(row["part_id"], order_id, drawn.value, row["id"]) for row in rows],
                )

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

    def _settle(self, ended: list[tuple[str, str]]) -> None:
        """Write down how these uploads (state, part) ended, and forget them here."""
        if ended:
            with self._store.transaction() as db:
                db.executemany("UPDATE uploads SET state = ? WHERE part_id = ?", ended)
            ended.clear()


def _progress(store: Store, order_id: str) -> dict[str, int]:
    """Images chosen and not lost: `random`, `atypical`."""
    return _counts(store, order_id, ("waiting", "done"))


def _settled(store: Store, order_id: str) -> dict[str, int]:
    """Images that the monitor has, and how many were lost or refused."""
    counts = _counts(store, order_id, ("done",))
    lost = _counts(store, order_id, ("lost", "refused"))
    return {**counts, "lost": lost["random"] + lost["atypical"]}


def _counts(store: Store, order_id: str, states: tuple[str, ...]) -> dict[str, int]:
    counts = {"random": 0, "atypical": 0}
    for row in store.rows(_COUNTED, (order_id,)):
        if row["state"] in states:
            counts["atypical" if row["drawn"] == OutcomeSource.ATYPICAL.value else "random"] += row["n"]
    return counts


def _bytes(image: KeptImage) -> bytes | None:
    try:
        return image.path.read_bytes()
    except OSError:
        return None
