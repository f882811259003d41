"""One thing that several threads want, of which one goes first: the line's commits pass everybody else who waits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Precedence:
    """A lock that its holder may take again. Who asks for it as `first` gets it next, however many wait; a plain lock
    is often taken again by whoever has just let go of it, while the line waits."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._owner: int | None = None
        self._depth = 0
        self._first = 0  # of those that wait

    @contextmanager
    def held(self, *, first: bool = False) -> Iterator[None]:
        """Nobody else has it inside the block."""
        self._take(first=first)
        try:
            yield
        finally:
            self._give_back()

    def _take(self, *, first: bool) -> None:
        me = threading.get_ident()
        if self._owner != me:  # only this thread itself could make that true
            with self._changed:
                self._first += first
                try:
                    self._changed.wait_for(lambda: self._owner is None and (first or self._first == 0))
                finally:
                    self._first -= first
                self._owner = me
        self._depth += 1

    def _give_back(self) -> None:
        self._depth -= 1
        if self._depth == 0:
            with self._changed:
                self._owner = None
                self._changed.notify_all()
