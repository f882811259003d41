"""How many parts of each verdict the last hour had, minute by minute. In memory only."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable

from contracts.frame import Decision

MINUTES = 60
_MINUTE = 60.0  # seconds


class Trend:
    """Thread-safe; `clock` counts seconds and never goes back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._minutes: deque[tuple[int, Counter[str]]] = deque(maxlen=MINUTES)
        self._lock = threading.Lock()

    def add(self, decision: Decision) -> None:
        """Count one verdict."""
        minute = self._minute()
        with self._lock:
            if not self._minutes or self._minutes[-1][0] != minute:
                self._minutes.append((minute, Counter()))
            self._minutes[-1][1][decision.value] += 1

    def minutes(self) -> list[dict[str, int]]:
        """One a minute, the oldest first, the last is now; empty ones too."""
        now = self._minute()
        with self._lock:
            counted = {minute: dict(counts) for minute, counts in self._minutes}
        return [counted.get(now - back, {}) for back in reversed(range(MINUTES))]

    def _minute(self) -> int:
        return int(self._clock() // _MINUTE)
