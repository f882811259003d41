"""Frame numbers for sources that have none of their own: up by one per camera, also over restarts."""

from __future__ import annotations

import threading
from collections.abc import Mapping


class Sequences:
    """Goes on after the newest number on record."""

    def __init__(self, last: Mapping[str, int]) -> None:
        self._last = dict(last)
        self._lock = threading.Lock()

    def next(self, camera: str) -> int:
        """The next number of a camera, from 0."""
        with self._lock:
            self._last[camera] = self._last.get(camera, -1) + 1
            return self._last[camera]
