"""Work beside the line goes slowly while images come: two processors and one interpreter are shared with inspection.

A drain, uploads or the timing of a new bundle are in no hurry; at full speed each of them takes what the line has left,
and together more than that: answers then wait in the queue until it is full.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_LINE_WORKS_SECONDS = 1.0  # after its last image
_LONGEST_REST_SECONDS = 0.5
_BREATH_SECONDS = 0.03


class Courtesy:
    """`idle_seconds`: for how long no image has been inspected. While the line works, work beside it takes at most
    about that `share` of the time, in pieces of its own choice."""

    def __init__(
        self, idle_seconds: Callable[[], float], *, share: float = 0.1, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._idle_seconds, self._share, self._sleep = idle_seconds, share, sleep

    @property
    def line_works(self) -> bool:
        """Whether images come."""
        return self._idle_seconds() < _LINE_WORKS_SECONDS

    def rest_seconds(self, worked: float) -> float:
        """How long to rest after so many seconds of work; 0 while no image comes.

        >>> Courtesy(lambda: 0.0).rest_seconds(0.02), Courtesy(lambda: 5.0).rest_seconds(0.02)
        (0.18, 0.0)
        """
        if not self.line_works:
            return 0.0
        return min(round(worked * (1.0 / self._share - 1.0), 6), _LONGEST_REST_SECONDS)

    def rest(self, worked: float, stopping: threading.Event) -> None:
        """Rest so long, or until stopped."""
        stopping.wait(self.rest_seconds(worked))

    def breathe(self) -> None:
        """Let images pass before something that takes a few milliseconds."""
        if self.line_works:
            self._sleep(_BREATH_SECONDS)
