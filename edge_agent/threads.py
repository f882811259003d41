"""The threads of an agent: each waits on one thing outside, and none may end unnoticed."""

from __future__ import annotations

import threading
from collections.abc import Callable

_JOIN_SECONDS = 10.0


class Threads:
    """An agent that lost a part of itself ends: whatever ends one of its threads is kept, and `stop` is set."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._started: list[threading.Thread] = []
        self.failure: BaseException | None = None
        """What ended one of them."""

    def run(self, name: str, target: Callable[..., None], *arguments: object) -> None:
        """Call `target` in a thread of that name."""

        def guarded() -> None:
            try:
                target(*arguments)
            except BaseException as error:
                self.failure = error
                self._stop.set()
                raise

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        self._started.append(thread)

    def join(self) -> None:
        """Wait for their ends, for ten seconds each at most."""
        for thread in self._started:
            thread.join(timeout=_JOIN_SECONDS)
