"""One source whose captures several threads inspect at once, while what follows each keeps their order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edge_agent.source import Capture, Source


class Feed:
    """`take` hands out captures with their numbers; what runs inside `turn(number)` runs in the order of these. `claim`
    is asked for each in that order: a trigger that waits for an image gives it its part."""

    def __init__(self, source: Source, claim: Callable[[Capture], Capture] = lambda capture: capture) -> None:
        self.name = source.name
        self._claim = claim
        self._captures = source.captures()
        self._taking = threading.Lock()  # a generator may not be asked by two threads at once
        self._turns = threading.Condition()
        self._taken = 0
        self._served = 0
        self._broken = False

    def take(self, idle: Callable[[], None] = lambda: None) -> tuple[int, Capture | None] | None:
        """The next capture and its number, (0, None) where there is nothing at the moment, None at the end. `idle` is
        called before this thread waits for another one that is waiting for a capture."""
        if not self._taking.acquire(blocking=False):
            idle()
            self._taking.acquire()
        try:
            for capture in self._captures:
                if capture is None:
                    return 0, None
                self._taken += 1
                return self._taken - 1, self._claim(capture)
            return None
        finally:
            self._taking.release()

    @contextmanager
    def turn(self, number: int) -> Iterator[None]:
        """Waits until all captures before this one have had their turn."""
        with self._turns:
            self._turns.wait_for(lambda: self._served == number or self._broken)
        yield
        with self._turns:
            self._served += 1
            self._turns.notify_all()

    def give_up(self) -> None:
        """A thread has failed before its turn was over: nobody waits for it any longer."""
        with self._turns:
            self._broken = True
            self._turns.notify_all()
