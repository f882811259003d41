"""The newest images that were not kept, in memory: one that somebody contradicts soon after can still be kept."""

from __future__ import annotations

import threading

from contracts.frame import Decision
from edge_agent.keepsake import Keepsake

_NOT_OK_SHARE = 0.5  # of the room, that images of parts that passed cannot take

_Key = tuple[str, str]  # part id and camera


class Fresh:
    """At most `most_bytes` of images, the oldest go first; those of parts that passed before the others, which people
    look at longer. Thread-safe."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._passed: dict[_Key, Keepsake] = {}  # oldest first, like the other one
        self._stopped: dict[_Key, Keepsake] = {}
        self._bytes = self._stopped_bytes = 0

    def add(self, image: Keepsake) -> None:
        """Remember an image; the newest of a part and camera counts. One that is larger than all the room is not
        remembered."""
        with self._lock:
            self._pop(_key(image))
            self._remember(image)

    def put_back(self, image: Keepsake) -> None:
        """Remember an image that was taken and could not be used; a newer one of its part stays."""
        with self._lock:
            if not any(_key(image) in images for images in (self._passed, self._stopped)):
                self._remember(image)

    def take(self, part_id: str, camera: str) -> Keepsake | None:
        """The newest image of that part, which is forgotten here; None where it is too old."""
        with self._lock:
            return self._pop((part_id, camera))

    def _remember(self, image: Keepsake) -> None:
        if image.size_bytes > self._most_bytes:
            return
        stopped = image.verdict.decision is not Decision.OK
        (self._stopped if stopped else self._passed)[_key(image)] = image
        self._count(image.size_bytes, stopped=stopped)
        while self._bytes > self._most_bytes:
            self._pop(self._oldest())

    def _oldest(self) -> _Key:
        crowded = self._stopped_bytes > _NOT_OK_SHARE * self._most_bytes
        return next(iter(self._stopped if crowded or not self._passed else self._passed))

    def _pop(self, key: _Key) -> Keepsake | None:
        stopped = key in self._stopped
        found = (self._stopped if stopped else self._passed).pop(key, None)
        if found is not None:
            self._count(-found.size_bytes, stopped=stopped)
        return found

    def _count(self, size: int, *, stopped: bool) -> None:
        self._bytes += size
        self._stopped_bytes += size if stopped else 0


def _key(image: Keepsake) -> _Key:
    return image.verdict.frame.part_id, image.verdict.frame.camera
