"""Somebody works at the station: until they are done, no part gets a verdict, and no camera is called faulty."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from pydantic import ValidationError

from contracts.names import Identifier, Moment, Wire
from contracts.telemetry import Event, EventKind
from edge_agent.outbox import Outbox
from edge_agent.store import Store

_FACT = "paused"


class Paused(Wire):
    """Since when, and by whom (a pseudonym)."""

    since: Moment
    by: Identifier


class Pause:
    """Remembered over restarts: a station that was paused does not go on by itself. Every change is reported."""

    def __init__(self, store: Store, outbox: Outbox) -> None:
        self._store, self._outbox = store, outbox
        self._lock = threading.Lock()
        self.now = _read(store)
        """None: inspection goes on."""

    @property
    def reason(self) -> str | None:
        """What a part's record says while it holds, or None."""
        now = self.now
        return None if now is None else f"inspection was paused by {now.by}"

    def begin(self, by: str) -> Paused:
        """From the next image on; a pause that holds stays as it is. Raises QuotaError where the disk is full."""
        with self._lock:
            if self.now is None:
                paused = Paused(since=datetime.now(UTC), by=by)
                self._keep(paused.model_dump_json(), EventKind.INSPECTION_PAUSED, f"by {by}")
                self.now = paused
            return self.now

    def end(self, by: str) -> None:
        """Inspect again. Raises QuotaError where the disk is full."""
        with self._lock:
            if self.now is not None:
                self._keep("", EventKind.INSPECTION_RESUMED, f"by {by}")
                self.now = None

    def _keep(self, text: str, kind: EventKind, reason: str) -> None:
        with self._store.transaction():
            self._store.remember(_FACT, text)
            self._outbox.add(Event(event=kind, at=datetime.now(UTC), reason=reason))


def _read(store: Store) -> Paused | None:
    """What cannot be read holds: nobody has said that they are done."""
    text = store.fact(_FACT)
    if not text:
        return None
    try:
        return Paused.model_validate_json(text)
    except ValidationError:
        return Paused(since=datetime.now(UTC), by="unknown")
