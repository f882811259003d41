"""Images that are sent to the agent over HTTP: a short queue, and a clear refusal when it is full."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime

from contracts.errors import LinesideError, QuotaError
from contracts.frame import Clock, Frame, Verdict
from edge_agent.source import Capture

_PATIENCE_SECONDS = 0.5


@dataclass(frozen=True)
class Pushed:
    """An image as it arrived. `part_id` None: one is made from camera and sequence."""

    image: bytes
    part_id: str | None
    product: str
    camera: str
    line: str
    answer: Future[Verdict]
    since: float  # monotonic seconds of its arrival
    product_code: str | None = None


class PushSource:
    """The queue between the HTTP door and the inspection; of the library's the one that wakes with one switch of
    threads and not two."""

    name = "http"

    def __init__(
        self,
        *,
        length: int,
        next_sequence: Callable[[str], int],
        waited: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        """`waited` is told how long each image was in the queue, in seconds."""
        self._queue: queue.SimpleQueue[Pushed | None] = queue.SimpleQueue()  # None: closed
        self._length, self._room = length, threading.Lock()
        self._next_sequence, self._waited = next_sequence, waited
        self._closed = threading.Event()

    def push(
        self,
        image: bytes,
        *,
        part_id: str | None,
        product: str,
        camera: str,
        line: str,
        product_code: str | None = None,
    ) -> Future[Verdict]:
        """Queue one image; the future gets its verdict once that is on record. `product_code`: what came with it says
        so, `product`: what holds otherwise. Raises QuotaError when the queue is
        full or the agent is stopping."""
        if self._closed.is_set():
            raise QuotaError("the agent is stopping; send the image again in a moment")
        pushed = Pushed(image, part_id, product, camera, line, Future(), time.monotonic(), product_code)
        with self._room:
            if self._queue.qsize() >= self._length:
                raise QuotaError("images arrive faster than they can be inspected; send this one again in a moment")
            self._queue.put(pushed)
        return pushed.answer

    def captures(self) -> Iterator[Capture | None]:
        """Queued images in order; None whenever the queue has run empty."""
        while not self._closed.is_set():
            try:
                pushed = self._queue.get_nowait()
            except queue.Empty:
                yield None
                try:
                    pushed = self._queue.get(timeout=_PATIENCE_SECONDS)
                except queue.Empty:
                    continue
            if pushed is not None:
                yield self._capture(pushed)
        self._refuse_rest()

    def close(self) -> None:
        """Take no more images."""
        self._closed.set()
        self._queue.put(None)

    def _capture(self, pushed: Pushed) -> Capture:
        self._waited(time.monotonic() - pushed.since)
        sequence = self._next_sequence(pushed.camera)
        frame = Frame(
            part_id=pushed.part_id or f"{pushed.camera}-{sequence}",
            sequence=sequence,
            product=pushed.product,
            camera=pushed.camera,
            line=pushed.line,
            triggered_at=datetime.now(UTC),
            clock=Clock.FREE_RUNNING,
        )
        return Capture(
            frame=frame,
            image=pushed.image,
            waiting=True,
            product_code=pushed.product_code,
            since=pushed.since,
            recorded=_answer(pushed.answer),
            refused=_fail(pushed.answer),
        )

    def _refuse_rest(self) -> None:
        while not self._queue.empty():
            if (pushed := self._queue.get_nowait()) is not None:
                _fail(pushed.answer)(QuotaError("the agent is stopping; send the image again in a moment"))


def _answer(future: Future[Verdict]) -> Callable[[Verdict], None]:
    def recorded(verdict: Verdict) -> None:
        if not future.done():
            future.set_result(verdict)

    return recorded


def _fail(future: Future[Verdict]) -> Callable[[LinesideError], None]:
    def refused(error: LinesideError) -> None:
        if not future.done():
            future.set_exception(error)

    return refused
