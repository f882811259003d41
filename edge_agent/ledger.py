"""What was inspected but is not on disk yet, and the one transaction that puts it there.

Verdicts, the state of their windows, kept images and the messages that follow from them are committed together, so that
a kill -9 at any moment leaves a record, windows and an outbox that agree: what a window claims is on record.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from pydantic_core import to_json

from contracts.errors import QuotaError
from contracts.telemetry import Event, Window
from edge_agent.inspection import Inspection
from edge_agent.keepsake import Written
from edge_agent.outbox import Outbox
from edge_agent.record import Record
from edge_agent.store import Store
from edge_agent.window import ShadowAnswer, WindowKey, Windows, WindowSums

_ROOM_BYTES = 65_536
_SLOW_SECONDS = 0.005  # an inspection that long is worth a commit of its own
_PATIENCE_SECONDS = 0.01  # of somebody who waits, beside inspection
_MOST_EARLY_ANSWERS = 1000  # of a shadow bundle, waiting for their next window to open
_LATE = 2.0  # times as long as images usually are here
_REMEMBERED = 64  # images, about


@dataclass(frozen=True)
class Item:
    """One image to be committed, with what belongs to it. `keep` writes its row of the image index."""

    inspection: Inspection
    vector_names: tuple[str, ...]
    source: str
    events: tuple[Event, ...] = ()
    keep: Written | None = None
    runtime: str | None = None
    """Target and version that answered."""


@dataclass
class _Batch:
    items: list[Item] = field(default_factory=list)
    shadow: list[ShadowAnswer] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    since: float | None = None  # monotonic
    late: bool = False


class Ledger:
    """Collects inspections of all sources and commits them together."""

    def __init__(
        self, store: Store, record: Record, outbox: Outbox, windows: Windows, *, images: int, seconds: float
    ) -> None:
        self._store, self._record, self._outbox = store, record, outbox
        self._windows = _resume(store, windows)
        self._images, self._seconds = images, seconds
        self._batch = _Batch()
        self._lock = threading.Lock()  # the batch
        self._committing = threading.RLock()  # one commit at a time
        self._usual = 0.0  # seconds from an image's arrival to its verdict on disk, where somebody waits for it
        self._last_folded: dict[WindowKey, float] = {key: time.monotonic() for key in self._windows.open}
        self.committed: Callable[[], None] = lambda: None
        """Called after a commit that put messages into the outbox."""
        self.written: Callable[[], None] = lambda: None
        """Called after a commit that put verdicts on record."""
        self.judge: Callable[[Inspection], Inspection] = lambda inspection: inspection
        """What an inspection still counts for at this moment: asked before it is put on record, and again after."""
        self.recorded: Callable[[Inspection], None] = lambda inspection: None
        """Called for each inspection once it is on record, in the order of the record."""
        self.prompt = False
        """Commit each image at once: a line waits for every one."""

    def append(self, item: Item) -> bool:
        """Take one image; says whether it is time to commit."""
        with self._lock:
            batch = self._batch
            batch.items.append(item)
            now = time.monotonic()
            batch.since = batch.since or now
            capture = item.inspection.capture
            batch.late |= capture.waiting and now - capture.since > _LATE * self._usual > 0.0
            return (
                self.prompt
                or bool(item.events)
                or len(batch.items) >= self._images
                or self._aged(batch)
                or _is_urgent(item, batch)
            )

    def append_event(self, event: Event) -> None:
        """Take an event that belongs to no image; commit it soon."""
        with self._lock:
            self._batch.events.append(event)

    def append_shadow(self, answer: ShadowAnswer) -> None:
        """Take one answer of the shadow bundle; it is committed with the next images."""
        with self._lock:
            self._batch.shadow.append(answer)

    @property
    def holds_something(self) -> bool:
        """Whether a commit would put anything on disk."""
        return bool(self._batch.items or self._batch.events)

    @property
    def holds_late(self) -> bool:
        """Whether somebody has waited twice as long as usual for one of them: that is no time to gather more."""
        return self._batch.late

    def due(self) -> bool:
        """Whether something has waited long enough."""
        with self._lock:
            return self._aged(self._batch)

    def commit(self, *, end: Sequence[WindowKey] | None = None, end_all: bool = False) -> int:
        """Put on disk what waits, and end the given windows; returns how many messages that made.

        Raises QuotaError where it cannot be written: images of sources that wait for an answer are refused, the others
        stay for the next attempt.
        """
        with self._committing:
            batch = self._take()
            batch.items = [self._judged(item) for item in batch.items]
            if not batch.items and not batch.events and not end and not end_all:
                self._keep_shadow(batch)
                return 0
            try:
                messages = self._write(batch, list(self._windows.open) if end_all else list(end or ()))
            except QuotaError as error:
                self._give_back(batch, error)
                raise
            told = [self.judge(item.inspection) for item in batch.items]
            for inspection in told:
                self.recorded(inspection)
            self._note_usual(batch)
        for inspection in told:
            inspection.capture.recorded(inspection.verdict)
        if batch.items:
            self.written()
        if messages:
            self.committed()
        return messages

    def _note_usual(self, batch: _Batch) -> None:
        now = time.monotonic()
        for item in batch.items:
            if item.inspection.capture.waiting:
                took = now - item.inspection.capture.since
                self._usual += (took - self._usual) / _REMEMBERED if self._usual else took

    def _judged(self, item: Item) -> Item:
        inspection = self.judge(item.inspection)
        return item if inspection is item.inspection else replace(item, inspection=inspection)

    def check_room(self) -> None:
        """Raise QuotaError unless a commit of usual size would fit on the disk."""
        with self._store.transaction() as db:
            db.execute("INSERT OR REPLACE INTO facts VALUES ('room', ?)", ("x" * _ROOM_BYTES,))
            db.execute("DELETE FROM facts WHERE name = 'room'")

    def idle_windows(self) -> list[WindowKey]:
        """Windows by the clock whose camera has not sent an image for a whole window."""
        if self._windows.images is not None:
            return []
        now = time.monotonic()
        with self._committing:
            return [key for key in self._windows.open if now - self._last_folded.get(key, now) > self._windows.seconds]

    def _take(self) -> _Batch:
        with self._lock:
            batch, self._batch = self._batch, _Batch()
            return batch

    def _give_back(self, batch: _Batch, error: QuotaError) -> None:
        stays = [item for item in batch.items if not item.inspection.capture.waiting]
        for item in batch.items:
            if item.inspection.capture.waiting:
                if item.keep is not None:
                    item.keep.undo()
                item.inspection.capture.refused(error)
        with self._lock:
            self._batch.items[:0] = stays
            self._batch.shadow[:0] = batch.shadow
            self._batch.events[:0] = batch.events
            self._batch.since = batch.since

    def _write(self, batch: _Batch, end: list[WindowKey]) -> int:
        draft = self._windows.copy()
        messages: list[Window | Event] = [*batch.events]
        late = [answer for answer in batch.shadow if not draft.fold_shadow(answer)]
        for item in batch.items:
            messages.extend(item.events)
            messages.extend(draft.fold(item.inspection, item.vector_names, item.runtime))
        early = [answer for answer in late if not draft.fold_shadow(answer)]
        messages.extend(draft.end_all(end))
        with self._store.transaction(first=True) as db:
            self._record.append([(item.inspection.verdict, item.inspection.capture.reference) for item in batch.items])
            for item in batch.items:
                if item.keep is not None:
                    item.keep()
            _save(db, self._windows, draft, {item.inspection.verdict.frame.camera: item for item in batch.items})
            for message in messages:
                self._outbox.add(message)
        self._windows = draft
        self._keep_shadow(_Batch(shadow=early))
        now = time.monotonic()
        for item in batch.items:
            self._last_folded[_key(item.inspection)] = now
        return len(messages)

    def _keep_shadow(self, batch: _Batch) -> None:
        with self._lock:
            self._batch.shadow[:0] = batch.shadow[-_MOST_EARLY_ANSWERS:]

    def _aged(self, batch: _Batch) -> bool:
        return batch.since is not None and time.monotonic() - batch.since >= self._seconds


def _is_urgent(item: Item, batch: _Batch) -> bool:
    """Somebody waits for the answer, and a commit costs little beside what the answer took or has waited."""
    if not item.inspection.capture.waiting or batch.since is None:
        return False
    took = item.inspection.verdict.latency_seconds or 0.0
    return took >= _SLOW_SECONDS or time.monotonic() - batch.since >= _PATIENCE_SECONDS


def _resume(store: Store, windows: Windows) -> Windows:
    """Windows as an earlier run left them."""
    for row in store.rows("SELECT state FROM open_windows"):
        sums = WindowSums.of(json.loads(row["state"]))
        windows.open[WindowKey(sums.camera, sums.product, sums.bundle_hash)] = sums
    windows.last_frames = {row["camera"]: row["last_sequence"] for row in store.rows("SELECT * FROM cameras")}
    return windows


def _save(db: sqlite3.Connection, before: Windows, after: Windows, newest: dict[str, Item]) -> None:
    """Write what a batch changed: the states of windows, and the last frame of each camera. Rows stay where they are:
    to replace one would write its page of the index as well."""
    db.executemany(
        "DELETE FROM open_windows WHERE key = ?", [(_name(key),) for key in before.open if key not in after.open]
    )
    changed = [(key, sums) for key, sums in after.open.items() if before.open.get(key) is not sums]
    db.executemany(
        "INSERT INTO open_windows VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET state = excluded.state",
        [(_name(key), to_json(sums.state(), inf_nan_mode="constants").decode()) for key, sums in changed],
    )
    db.executemany(
        "INSERT INTO cameras VALUES (?, ?, ?, ?) ON CONFLICT (camera) DO UPDATE SET "
        "last_sequence = excluded.last_sequence, product = excluded.product, source = excluded.source",
        [
            (camera, after.last_frames[camera], _key(item.inspection).product, item.source)
            for camera, item in newest.items()
        ],
    )


def _name(key: WindowKey) -> str:
    return "/".join(key)


def _key(inspection: Inspection) -> WindowKey:
    frame = inspection.verdict.frame
    return WindowKey(frame.camera, frame.product, inspection.verdict.bundle_hash or "")
