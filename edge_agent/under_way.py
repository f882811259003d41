"""Images that are being inspected now, and what to do about one that does not end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.deadline import Deadlines
from edge_agent.inspection import Inspector
from edge_agent.trouble import Trouble

_HANGS_AFTER_SECONDS = 1.0  # beyond the deadline
_STUCK_AFTER_SECONDS = 20.0  # beyond being stopped


@dataclass
class _Image:
    camera: str
    began: float  # monotonic
    inspector: Inspector
    noticed: bool = False
    stopped: float | None = None  # monotonic


class UnderWay:
    """One image for each thread that inspects."""

    def __init__(self, deadlines: Deadlines, clock: Callable[[], float] = time.monotonic) -> None:
        self._deadlines, self._clock = deadlines, clock
        self._images: dict[int, _Image] = {}
        self._ended = clock()

    def begin(self, camera: str, inspector: Inspector) -> None:
        """This thread inspects an image from now on."""
        self._images[threading.get_ident()] = _Image(camera, self._clock(), inspector)

    def end(self) -> None:
        """It has ended."""
        self._ended = self._clock()
        del self._images[threading.get_ident()]

    def idle_seconds(self) -> float:
        """For how long no image has been inspected; 0 while one is."""
        return 0.0 if self._images else self._clock() - self._ended

    def hanging(self) -> Trouble | None:
        """Why inspection seems to hang: an image under way for longer than its deadline; or None."""
        for _, image in self._late():
            return self._told(image)
        return None

    def stop(self) -> list[Inspector]:
        """Make the network give up the images that hang; whose they are, each once. Call it now and then: an image has
        to be found hanging twice, since this whole machine may have slept."""
        stopped = []
        for thread, image in self._late():
            if image.noticed and image.stopped is None:
                image.stopped = self._clock()
                image.inspector.session.stop(thread)
                stopped.append(image.inspector)
            image.noticed = True
        return stopped

    def stuck(self) -> Trouble | None:
        """Of an image that was given up and still does not end; or None. Only the end of the process helps."""
        now = self._clock()
        stopped = [image for _, image in self._late() if image.stopped is not None]
        return next((self._told(each) for each in stopped if now - (each.stopped or now) > _STUCK_AFTER_SECONDS), None)

    def _late(self) -> list[tuple[int, _Image]]:
        now = self._clock()
        return [
            (thread, image)
            for thread, image in list(self._images.items())
            if now - image.began > self._deadlines.of(image.camera) + _HANGS_AFTER_SECONDS
        ]

    def _told(self, image: _Image) -> Trouble:
        seconds = f"{self._clock() - image.began:.0f}"
        text = f"the inspection of an image of camera {image.camera} has not ended for {seconds} s"
        return Trouble(text, code="inspection-hangs", camera=image.camera, seconds=seconds)
