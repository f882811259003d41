"""How answers of other threads come to the event loop: together, with one wake-up for all that come at once."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

Answer = TypeVar("Answer")


class Doorbell:
    """Of one event loop. A commit answers several images at once: a wake-up for each would take the interpreter from
    the threads that inspect as often."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._come: list[tuple[asyncio.Future[Any], Future[Any]]] = []

    async def wait(self, answer: Future[Answer], seconds: float) -> Answer:
        """The answer, or what it raises. Raises TimeoutError after so long, and the answer is cancelled."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[Answer] = loop.create_future()
        answer.add_done_callback(partial(self._ring, waiting))
        late = loop.call_later(seconds, _give_up, waiting)
        try:
            return await waiting
        finally:
            late.cancel()
            answer.cancel()

    def _ring(self, waiting: asyncio.Future[Any], answer: Future[Any]) -> None:
        """In whichever thread has answered."""
        with self._lock:
            self._come.append((waiting, answer))
            first = len(self._come) == 1
        if first and not (loop := waiting.get_loop()).is_closed():
            loop.call_soon_threadsafe(self._open)

    def _open(self) -> None:
        with self._lock:
            come, self._come = self._come, []
        for waiting, answer in come:
            if not waiting.done():
                _pass_on(answer, waiting)


_bells: WeakKeyDictionary[asyncio.AbstractEventLoop, Doorbell] = WeakKeyDictionary()


def doorbell() -> Doorbell:
    """Of the event loop that runs here."""
    loop = asyncio.get_running_loop()
    bell = _bells.get(loop)
    return _bells.setdefault(loop, Doorbell()) if bell is None else bell


def _pass_on(answer: Future[Any], waiting: asyncio.Future[Any]) -> None:
    if answer.cancelled():
        waiting.cancel()
    elif (error := answer.exception()) is not None:
        waiting.set_exception(error)
    else:
        waiting.set_result(answer.result())


def _give_up(waiting: asyncio.Future[Any]) -> None:
    if not waiting.done():
        waiting.set_exception(TimeoutError())
