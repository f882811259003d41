"""Part verdicts of an agent: made from the record of verdicts, in a transaction of their own, and told afterwards.

It reads the record from where it was last and writes what follows together with that place, so that a kill at any
moment loses no view and counts none twice. Nothing of this is on the hot path.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from contracts.errors import QuotaError
from contracts.frame import Decision, Frame
from contracts.part import PartVerdict
from edge_agent.parts.joining import Joined, Joining, Key, OpenPart, View
from edge_agent.parts.settings import PartSettings
from edge_agent.store import Store

_CURSOR = "parts_cursor"  # number of the last verdict that was joined
_AT_ONCE = 500  # verdicts
_BEAT_SECONDS = 0.5
_SHOWN = 48
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PartEntry:
    """A part verdict, its number, and the views that came too late for it: camera -> decision."""

    number: int
    verdict: PartVerdict
    late: dict[str, Decision]


class Parts:
    """Joins views where `parts` are configured; does nothing where they are not."""

    def __init__(
        self,
        store: Store,
        parts: Sequence[PartSettings],
        *,
        count: Callable[[str, str], None] = lambda part, decision: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._count, self._clock = store, count, clock
        self._joining = Joining(parts)
        self._views = {part.name: part.views for part in parts}
        self._wake = threading.Event()
        self._lock = threading.Lock()  # what the page shows
        self._recent: deque[PartVerdict] = deque(maxlen=_SHOWN)
        self._counts: Counter[str] = Counter()
        self.active = bool(parts)
        self.decided: Callable[[PartVerdict], None] = lambda verdict: None
        """Called once for each part verdict, in order, after it is on record; it must return at once. One whose call a
        kill prevents is on record and is not told again: a line without an answer must not pass the part."""
        self._cursor = self._resume() if parts else self._rest()

    def wake(self) -> None:
        """There are new verdicts on record."""
        self._wake.set()

    def run(self, stopping: threading.Event) -> None:
        """Join until stopped."""
        while not stopping.is_set():
            due = self._joining.next_due()
            wait = _BEAT_SECONDS if due is None else min(_BEAT_SECONDS, max(0.0, due - self._clock()))
            self._wake.wait(wait)
            self._wake.clear()
            try:
                self.step()
            except QuotaError as error:
                _log.error("%s", error)
                stopping.wait(_BEAT_SECONDS)

    def step(self) -> list[PartVerdict]:
        """Join what is new and decide what is due; returns the verdicts. Raises QuotaError where they cannot be
        written: the parts stay undecided."""
        told = self._join((), self._cursor)  # first: what comes when the time is up is late
        while True:
            views, cursor = self._new_views()
            told += self._join(views, cursor)
            if len(views) < _AT_ONCE:
                return told

    def entries(self, *, limit: int, before: int | None = None, part_id: str | None = None) -> list[PartEntry]:
        """The newest `limit` part verdicts on record, newest first."""
        rows = self._store.rows(
            "SELECT * FROM parts WHERE decided_at IS NOT NULL AND (? IS NULL OR id < ?) AND (? IS NULL OR part_id = ?)"
            " ORDER BY id DESC LIMIT ?",
            (before, before, part_id, part_id, limit),
        )
        return [_entry(row) for row in rows]

    def views(self, part: str) -> tuple[str, ...] | None:
        """The cameras that see a kind of part; None where it is not configured."""
        return self._views.get(part)

    def is_view(self, camera: str) -> bool:
        """Whether that camera sees a part together with others."""
        return camera in self._joining.cameras

    def is_open(self, part_id: str) -> bool:
        """Whether views of that part have come and it is not decided yet."""
        return any(key.part_id == part_id for key in list(self._joining.open))

    def newest(self) -> PartVerdict | None:
        """The last one since the start."""
        with self._lock:
            return self._recent[0] if self._recent else None

    def find(self, part_id: str) -> PartVerdict | None:
        """The last verdict on a part while it is remembered."""
        with self._lock:
            return next((verdict for verdict in self._recent if verdict.part_id == part_id), None)

    def counts(self) -> dict[str, int]:
        """Part verdicts since the start, by decision."""
        with self._lock:
            return dict(self._counts)

    def forget_before(self, moment: datetime) -> None:
        """Delete what was decided earlier (retention)."""
        self._store.forget_before("parts", "decided_at", moment.timestamp())

    def _rest(self) -> int:
        """Nothing is joined; should parts be configured one day, what came before does not count."""
        if self._store.fact(_CURSOR) is not None:
            with self._store.transaction() as db:
                db.execute("DELETE FROM facts WHERE name = ?", (_CURSOR,))
                db.execute("DELETE FROM parts WHERE decided_at IS NULL")
        return 0

    def _resume(self) -> int:
        """Where an earlier run left off; the first time, at the end of the record."""
        now = self._clock()
        for row in self._store.rows("SELECT * FROM parts WHERE decided_at IS NULL ORDER BY id"):
            self._joining.reopen(_open_part(row), now)
        cursor = self._store.fact(_CURSOR)
        if cursor is not None:
            return int(cursor)
        newest = int(self._store.rows("SELECT COALESCE(MAX(id), 0) AS newest FROM verdicts")[0]["newest"])
        self._store.remember(_CURSOR, str(newest))
        return newest

    def _new_views(self) -> tuple[list[View], int]:
        """The next verdicts of cameras that see a part, and the place behind them and behind all others."""
        cameras = self._joining.cameras
        newest = self._store.rows("SELECT COALESCE(MAX(id), 0) AS newest FROM verdicts")[0]["newest"]
        rows = self._store.rows(
            "SELECT id, frame, decision FROM verdicts WHERE id > ? AND id <= ?"  # noqa: S608 - question marks only
            f" AND camera IN ({', '.join('?' * len(cameras))}) ORDER BY id LIMIT ?",
            (self._cursor, newest, *cameras, _AT_ONCE),
        )
        place = int(rows[-1]["id"]) if len(rows) == _AT_ONCE else max(self._cursor, int(newest))
        return [_view(row) for row in rows], place

    def _join(self, views: Sequence[View], cursor: int) -> list[PartVerdict]:
        draft, joined, now = self._joining.copy(), Joined(), self._clock()
        draft.settle(now, datetime.now(UTC), joined)
        for view in views:
            draft.take(view, now, joined)
            draft.settle(now, datetime.now(UTC), joined)
        if views or joined.decided:
            self._write(draft, joined, cursor, now)
        self._joining, self._cursor = draft, cursor
        for _, verdict in joined.decided:
            with self._lock:
                self._recent.appendleft(verdict)
                self._counts[verdict.decision.value] += 1
            self._count(verdict.part, verdict.decision.value)
            self.decided(verdict)
        for row, view in joined.late:
            _log.warning("the view of %s of part %s (no. %d) came too late", view.camera, view.part_id, row)
        return [verdict for _, verdict in joined.decided]

    def _write(self, draft: Joining, joined: Joined, cursor: int, now: float) -> None:
        """One transaction: open parts as they are now, verdicts, late views, and the place in the record."""
        with self._store.transaction() as db:
            for part, verdict in joined.decided:
                draft.remember(part, verdict, _put(db, part, verdict), now)
            for key, part in draft.open.items():
                if part is not self._joining.open.get(key):
                    draft.open[key] = replace(part, row=_put(db, part, None))
            for row, view in joined.late:
                _add_late(db, row, view)
            db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (_CURSOR, str(cursor)))


def _put(db: sqlite3.Connection, part: OpenPart, verdict: PartVerdict | None) -> int:
    """Write the row of a part, open or decided; returns its number."""
    values = (
        part.key.part,
        part.key.part_id,
        part.product,
        part.line,
        json.dumps(sorted(part.products)),
        json.dumps(part.views),
        None if verdict is None else verdict.decided_at.timestamp(),
        None if verdict is None else verdict.decision.value,
        None if verdict is None else json.dumps(verdict.missing),
        None if verdict is None else verdict.reason,
    )
    if part.row is None:
        cursor = db.execute(
            "INSERT INTO parts (part, part_id, product, line, products, views, decided_at, decision, missing, reason)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            values,
        )
        return int(cursor.lastrowid or 0)
    db.execute(
        "UPDATE parts SET part = ?, part_id = ?, product = ?, line = ?, products = ?, views = ?, decided_at = ?,"
        " decision = ?, missing = ?, reason = ? WHERE id = ?",
        (*values, part.row),
    )
    return part.row


def _add_late(db: sqlite3.Connection, row: int, view: View) -> None:
    found = db.execute("SELECT late FROM parts WHERE id = ?", (row,)).fetchone()
    late = json.loads(found["late"]) if found is not None and found["late"] else {}
    late[view.camera] = view.decision.value
    db.execute("UPDATE parts SET late = ? WHERE id = ?", (json.dumps(late), row))


def _view(row: Any) -> View:
    frame = Frame.model_validate_json(row["frame"])
    return View(frame.camera, frame.part_id, frame.product, frame.line, Decision(row["decision"]))


def _open_part(row: Any) -> OpenPart:
    views = {camera: Decision(decision) for camera, decision in json.loads(row["views"]).items()}
    key = Key(row["part"], row["part_id"])
    products = frozenset(json.loads(row["products"]))
    return OpenPart(key, row["product"], row["line"], products, views, due=0.0, row=row["id"])


def _entry(row: Any) -> PartEntry:
    verdict = PartVerdict(
        part=row["part"],
        part_id=row["part_id"],
        product=row["product"],
        line=row["line"],
        decision=row["decision"],
        views=json.loads(row["views"]),
        missing=tuple(json.loads(row["missing"])),
        decided_at=datetime.fromtimestamp(row["decided_at"], UTC),
        reason=row["reason"],
    )
    late = {camera: Decision(decision) for camera, decision in json.loads(row["late"] or "{}").items()}
    return PartEntry(row["id"], verdict, late)
