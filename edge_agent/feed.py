"""One source whose captures several threads inspect at once, while what follows each keeps their order."""

from __future__ import annotations

import threading
from collections.abc import Callable

from edge_agent.source import Capture, Source

_AHEAD = 8  # captures that were looked at before one that was taken earlier


class Feed:
    """`take` hands out captures with their numbers; what `in_turn` is given runs in the order of these. `claim` is
    asked for each in that order: a trigger that waits for an image gives it its part."""

    def __init__(self, source: Source, claim: Callable[[Capture], Capture] = lambda capture: capture) -> None:
        self.name = source.name
        self._claim = claim
        self._captures = source.captures()
        self._taking = threading.Lock()  # a generator may not be asked by two threads at once
        self._turns = threading.Condition()
        self._taken = 0
        self._looked: dict[int, Callable[[], None]] = {}  # by number: how to conclude what was looked at
        self._next = 0
        self._concluding = False
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

    def in_turn(self, number: int, conclude: Callable[[], None]) -> None:
        """Have this done after the same of all captures before this one: now, or by the thread that does theirs. Nobody
        waits for that, unless too many are ahead of one that takes long."""
        with self._turns:
            self._looked[number] = conclude
            self._turns.wait_for(lambda: len(self._looked) <= _AHEAD or min(self._looked) == self._next or self._broken)
        self._conclude()

    def give_up(self) -> None:
        """A thread has failed before its turn was over: nobody waits for it any longer."""
        with self._turns:
            self._broken = True
            self._turns.notify_all()
        self._conclude()

    def _conclude(self) -> None:
        """What is next in turn, as long as there is such."""
        while (conclude := self._begin()) is not None:
            conclude()
            with self._turns:
                self._concluding = False
                self._turns.notify_all()

    def _begin(self) -> Callable[[], None] | None:
        with self._turns:
            number = min(self._looked, default=None)
            if number is None or not (self._broken or (number == self._next and not self._concluding)):
                return None
            self._next, self._concluding = number + 1, True
            return self._looked.pop(number)
