"""Which kept images go to the monitor for labelling: `Sample` orders and the permanent audit.

Random draws depend on part ids alone, never on what was answered, and take from the random share of the buffer alone.
Picked images (atypical, unsure, overruled) come on top once the random ones are complete, and never from that share: so
no draw, of this order, of a later one or of the audit, lacks what was picked before. One part is uploaded at most once,
whatever asked for it; what was chosen is on disk before it leaves, and is tried again until the monitor takes or
refuses it. How that ended is written down for a few at a time: after a kill those are offered once more, and the
monitor says that it has them.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from contracts.errors import LinkError, OrderError, QuotaError
from contracts.frame import PICKED_SOURCES, OutcomeSource
from contracts.orders import Sample
from contracts.upload import ImageUpload
from edge_agent.buffer import ImageBuffer
from edge_agent.candidates import Candidates
from edge_agent.courtesy import Courtesy
from edge_agent.draw import draw
from edge_agent.kept import KeptImage
from edge_agent.orders import Orders
from edge_agent.record import Record
from edge_agent.store import Store
from edge_agent.trouble import Trouble
from edge_agent.upload import ImageUploader
from edge_agent.uploads import RANDOM, Uploads

AUDIT = "audit"
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
        self._uploads = Uploads(store)
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
            found = self._uploads.progress(order.order_id)
            seen = (newest, self._buffer.contradicted, *found.values())
            if self._looked.get(order.order_id) != seen:
                self._choose_for(order, found)
                self._looked[order.order_id] = seen

    def _choose_for(self, order: Sample, found: dict[str, int]) -> None:
        if order.random > found[RANDOM]:
            chosen = self._candidates.drawn(order, order.random - found[RANDOM])
            self._uploads.add(chosen, order_id=order.order_id, source=OutcomeSource(order.purpose))
            return
        for source, wanted in _picks(order).items():
            if wanted > found[source]:
                chosen = self._candidates.picked(order, source, wanted - found[source])
                self._uploads.add(chosen, order_id=order.order_id, source=source)

    def upload_waiting(self, stopping: threading.Event) -> None:
        """Hand over everything that waits, slowly while the line works. Raises LinkError where the monitor is away."""
        ended: list[tuple[str, str]] = []
        try:
            for row in self._uploads.waiting():
                if stopping.is_set():
                    return
                began = time.monotonic()
                ended.append((self._hand_over(row), row["part_id"]))
                self._count(ended[-1][0])
                if len(ended) == _SETTLED_TOGETHER:
                    self._uploads.settle(ended)
                self._courtesy.rest(time.monotonic() - began, stopping)
        finally:
            self._uploads.settle(ended)

    def close_finished(self, now: datetime) -> None:
        """Report orders whose numbers are reached, or whose time is over: done where the random ones are complete."""
        for order in self._orders.open(Sample):
            settled = self._uploads.settled(order.order_id)
            over, drawn = order.expires_at <= now, settled[RANDOM] >= order.random
            picked = all(settled[source] >= wanted for source, wanted in _picks(order).items())
            if drawn and (picked or over):  # images to pick are there or are not; random ones must be
                self._orders.finish(order, details=settled)
            elif over:
                reason = f"expired with {settled[RANDOM]} of {order.random} random images uploaded"
                self._orders.fail(order, reason, details=settled)
            else:
                continue
            self._looked.pop(order.order_id, None)

    def _choose_audit(self) -> None:
        """Images that it passes over are not written down one by one: after a restart the last few are drawn again,
        with the same result. Where the share was raised a moment ago, images that were kept for what they show are not
        drawn: others like them are gone."""
        fraction = self._buffer.audit_fraction
        while rows := self._candidates.after(self._audited, _LOOKED_AT):
            chosen = [row for row in rows if row["drawn"] and draw(AUDIT, row["part_id"]) < fraction]
            self._audited = rows[-1]["id"]
            if chosen or self._audited - self._remembered >= _LOOKED_AT:
                with self._store.transaction():
                    self._uploads.add(chosen, order_id=AUDIT, source=OutcomeSource.AUDIT)
                    self._store.remember(_AUDITED, str(self._audited))
                self._remembered = self._audited

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


def _picks(order: Sample) -> dict[OutcomeSource, int]:
    """How many images the order wants on top of the random ones, for each reason."""
    wanted = (order.atypical, order.unsure, order.overruled)
    return dict(zip(PICKED_SOURCES, wanted, strict=True))


def _bytes(image: KeptImage) -> bytes | None:
    try:
        return image.path.read_bytes()
    except OSError:
        return None
