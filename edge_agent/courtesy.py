"""Work beside the line goes slowly while images come: two processors and one interpreter are shared with inspection.

A drain, uploads or the timing of a new bundle are in no hurry; at full speed each of them takes what the line has left,
and together more than that: answers then wait in the queue until it is full. Where images begin to wait, whatever the
reason, work beside the line all but stops until they no longer do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_LINE_WORKS_SECONDS = 1.0  # after its last image
_LONGEST_REST_SECONDS = 0.5
_BREATH_SECONDS, _DEEP_BREATH_SECONDS = 0.03, 0.1
_LONG_WAIT_SECONDS = 0.008  # of images before they are looked at: about as long as one takes
_REMEMBERED = 16  # images, about


class Courtesy:
    """`idle_seconds`: for how long no image has been inspected. While the line works, work beside it takes at most
    about that `share` of the time, in pieces of its own choice; while the line is behind it rests after each piece as
    long as it may."""

    def __init__(
        self, idle_seconds: Callable[[], float], *, share: float = 0.1, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._idle_seconds, self._share, self._sleep = idle_seconds, share, sleep
        self._waited = 0.0  # seconds, of an image lately

    def note_wait(self, seconds: float) -> None:
        """An image has waited so long until a thread took it."""
        self._waited += (seconds - self._waited) / _REMEMBERED

    @property
    def line_is_behind(self) -> bool:
        """Whether images come faster than they are looked at just now."""
        return self.line_works and self._waited > _LONG_WAIT_SECONDS

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
        if self.line_is_behind:
            return _LONGEST_REST_SECONDS
        return min(round(worked * (1.0 / self._share - 1.0), 6), _LONGEST_REST_SECONDS)

    def rest(self, worked: float, stopping: threading.Event) -> None:
        """Rest so long, or until stopped."""
        stopping.wait(self.rest_seconds(worked))

    def breathe(self) -> None:
        """Let images pass before something that takes a few milliseconds; longer where they wait."""
        if self.line_works:
            self._sleep(_DEEP_BREATH_SECONDS if self.line_is_behind else _BREATH_SECONDS)
