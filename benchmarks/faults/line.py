"""A line that sends its parts over HTTP at a steady pace and writes down, outside the agent, what was answered."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tests.simulators.small_bundle import encoded, picture

_WORKERS = 4
_PICTURES = 50
_PATIENCE_SECONDS = 10.0
GOOD = 90
"""Brightness of a good part; the small bundles call it `good`."""


@dataclass(frozen=True)
class Answer:
    """One part: `status` None where nobody answered. `sequence` is the agent's number of the frame."""

    part: str
    camera: str
    status: int | None
    sequence: int | None
    decision: str | None
    bundle_hash: str | None
    sent: float  # monotonic seconds
    seconds: float


class Line:
    """Runs while its `with` does; `answers` grows. Parts are sent at fixed times whether or not anybody answers; those
    that cannot be are left out, as on a line that does not wait."""

    def __init__(self, port: int, *, per_second: float, camera: str = "camera-1") -> None:
        self._port, self._interval, self._camera = port, 1.0 / per_second, camera
        self.answers: list[Answer] = []
        self.level = GOOD
        """Brightness of every other part from now on; the rest is good."""
        self._pictures: dict[int, list[bytes]] = {}
        self._numbers = itertools.count()
        self._lock, self._stopping = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(_WORKERS)]
        self._due = time.monotonic()

    def __enter__(self) -> Self:
        self._due = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._stopping.is_set():
            number, due = self._next()
            if self._stopping.wait(max(0.0, due - time.monotonic())):
                break
            connection = connection or http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE_SECONDS)
            answer = self._send(connection, number)
            self.answers.append(answer)
            if answer.status is None:
                connection.close()
                connection = None

    def _next(self) -> tuple[int, float]:
        """Number and time of the next part; late ones are not caught up with."""
        with self._lock:
            self._due = max(self._due + self._interval, time.monotonic() - self._interval)
            return next(self._numbers), self._due

    def _send(self, connection: http.client.HTTPConnection, number: int) -> Answer:
        part, began = f"part-{number}", time.monotonic()
        status, told = None, {}
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            path = f"/v1/inspect?part_id={part}&camera={self._camera}"
            connection.request("POST", path, self._picture(number), {"Content-Type": "image/png"})
            response = connection.getresponse()
            told, status = _verdict(json.loads(response.read())), response.status
        frame = told.get("frame", {})
        return Answer(
            part=part,
            camera=self._camera,
            status=status,
            sequence=frame.get("sequence"),
            decision=told.get("decision"),
            bundle_hash=told.get("bundle_hash"),
            sent=began,
            seconds=time.monotonic() - began,
        )

    def _picture(self, number: int) -> bytes:
        """Never the same twice in a row: a camera that stands still is a fault of its own."""
        level = self.level if number % 2 else GOOD
        made = self._pictures.setdefault(level, [])
        if len(made) < _PICTURES:
            made.append(encoded(picture(level, number)))
            return made[-1]
        return made[number // 2 % _PICTURES]


def _verdict(body: dict[str, Any]) -> dict[str, Any]:
    """The verdict of an answer; of a refused image without one, nothing."""
    found: dict[str, Any] = body.get("verdict", body if "frame" in body else {})
    return found
