"""How many cameras and products one agent serves: each has windows and metrics of its own, so their number is bounded.

A client that puts what changes from part to part into the camera's name would otherwise fill the memory.
"""

from __future__ import annotations

import threading


class Census:
    """The pairs of camera and product seen since the start."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def admit(self, camera: str, product: str) -> bool:
        """Whether images of this pair are taken: it is known, or there is room for one more.

        >>> census = Census(1)
        >>> census.admit("cam-a", "cap"), census.admit("cam-b", "cap"), census.admit("cam-a", "cap")
        (True, False, True)
        """
        with self._lock:
            if (camera, product) not in self._known and len(self._known) < self._most:
                self._known.add((camera, product))
            return (camera, product) in self._known
