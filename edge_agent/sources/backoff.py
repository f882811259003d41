"""How long to wait before trying again: twice as long each time, with jitter against herds."""

from __future__ import annotations

import random

FIRST_SECONDS, LONGEST_SECONDS = 1.0, 30.0
_JITTER = 0.2  # share of the wait, up and down


class Backoff:
    """Waits between attempts. What has worked for as long as the longest wait starts anew at the first.

    >>> waits = Backoff(rng=random.Random(1), jitter=0.0)
    >>> [waits.after(worked_seconds=0.0) for _ in range(7)]
    [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    >>> waits.after(worked_seconds=31.0)
    1.0
    """

    def __init__(
        self,
        *,
        rng: random.Random,
        first_seconds: float = FIRST_SECONDS,
        longest_seconds: float = LONGEST_SECONDS,
        jitter: float = _JITTER,
    ) -> None:
        self._rng, self._first, self._longest, self._jitter = rng, first_seconds, longest_seconds, jitter
        self._next = first_seconds

    def after(self, *, worked_seconds: float) -> float:
        """Seconds to wait after an attempt that delivered for `worked_seconds` before it failed."""
        if worked_seconds >= self._longest:
            self._next = self._first
        wait = self._next
        self._next = min(2 * self._next, self._longest)
        return wait * self._rng.uniform(1 - self._jitter, 1 + self._jitter)
