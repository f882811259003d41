"""Where pictures wait between a camera's thread and the inspection: which frames are wanted, and how they are numbered.

- `time`: the first frame at or after each due time, `every_seconds` apart; 0 means every frame. Only the newest waits.
- `software`: the first frame that comes after each call of `ask`.
- `line`: every frame; the camera takes them when its own input says so. Some wait, then the oldest is lost.
- a file (`every_frame_waits`) is read frame by frame: none is left out, and none has to hurry.

A number is drawn for every picture that was due. One that a newer one replaces, or a trigger that gets none, leaves its
number unused, which telemetry reports as a dropped image. Frames between two due times never had a number.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from contracts.errors import QuotaError
from contracts.frame import Verdict
from edge_agent.sources.device import Picture

MOST_TRIGGERS = 8  # waiting at once
LINE_QUEUE = 8  # pictures of a camera's own trigger that wait for inspection
_MOST_LOST = 1000  # numbers left unused at once, whatever a device claims


@dataclass(frozen=True)
class Pace:
    """Which frames become pictures."""

    trigger: Literal["time", "software", "line"] = "time"
    every_seconds: float = 1.0
    every_frame_waits: bool = False


@dataclass
class Shot:
    """A picture, when it came, and its number: None where that is drawn when it is taken."""

    picture: Picture
    at: datetime
    sequence: int | None = None


@dataclass
class Trigger:
    """Somebody waits for a picture."""

    part_id: str | None
    sequence: int
    asked_at: float
    answer: Future[Verdict] = field(default_factory=Future)
    product_code: str | None = None
    shot: Shot | None = None


class Tray:
    """Pictures and triggers of one camera; thread-safe. `draw` gives the camera's next number."""

    def __init__(
        self,
        pace: Pace,
        *,
        draw: Callable[[], int],
        passed_over: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pace = pace
        self._draw, self._passed_over, self._clock = draw, passed_over, clock
        self._changed = threading.Condition()
        self._shots: deque[Shot] = deque()
        self._triggers: deque[Trigger] = deque()
        self._due = clock()
        self._stirred = False
        self.closed = False

    # The camera's thread:

    def wants(self, at: float) -> bool:
        """Whether the frame that was grabbed at `at` (seconds of the clock) shall be fetched."""
        with self._changed:
            if self.pace.every_frame_waits or self.pace.trigger == "line":
                return True
            if self.pace.trigger == "software":
                return any(_waits(trigger, at) for trigger in self._triggers)
            return at >= self._due

    def wait_for_room(self, gone: Callable[[], bool]) -> bool:
        """Wait until the last frame of a file has been taken; False where nothing is taken any more."""
        with self._changed:
            while self._shots and not gone() and not self.closed:
                self._changed.wait(0.5)
            return not gone() and not self.closed

    def put(self, picture: Picture, at: float) -> None:
        """Lay a fetched picture where it belongs."""
        shot = Shot(picture, datetime.now(UTC))
        with self._changed:
            if self.pace.every_frame_waits:
                self._shots.append(shot)
            elif self.pace.trigger == "software":
                for trigger in self._triggers:
                    if _waits(trigger, at):
                        trigger.shot = shot
            else:
                self._put_numbered(shot, at)
            self._changed.notify_all()

    def _put_numbered(self, shot: Shot, at: float) -> None:
        if self.pace.trigger == "line" or self.pace.every_seconds == 0:  # every frame was due
            for _ in range(min(shot.picture.lost, _MOST_LOST)):
                self._draw()
        shot.sequence = self._draw()
        self._due = at + self.pace.every_seconds
        self._shots.append(shot)
        while len(self._shots) > (LINE_QUEUE if self.pace.trigger == "line" else 1):
            self._shots.popleft()
            self._passed_over()

    # Whoever triggers:

    def ask(self, part_id: str | None, product_code: str | None = None) -> Trigger:
        """A picture is wanted from now on. Raises QuotaError where too many wait; its number then stays unused."""
        with self._changed:
            sequence = self._draw()
            if self.closed:
                raise QuotaError("the agent is stopping; trigger again in a moment")
            if len(self._triggers) >= MOST_TRIGGERS:
                raise QuotaError("triggers come faster than pictures; trigger again in a moment")
            trigger = Trigger(part_id, sequence, self._clock(), product_code=product_code)
            self._triggers.append(trigger)
            self._changed.notify_all()
            return trigger

    # The source's thread:

    def take(self) -> tuple[Shot, Trigger | None] | None:
        """The next picture to inspect, with the trigger that it answers; None when there is none for now."""
        with self._changed:
            if not self._ready():
                return None
            trigger = self._triggers.popleft() if self.pace.trigger == "software" else None
            shot = trigger.shot if trigger is not None and trigger.shot is not None else self._shots.popleft()
            if self.pace.every_frame_waits:
                self._due = self._clock() + self.pace.every_seconds
            self._changed.notify_all()
            return shot, trigger

    def expire(self, older_than: float | None) -> list[Trigger]:
        """Triggers that get no picture any more: those asked before that time of the clock, or all (None)."""
        with self._changed:
            empty = [trigger for trigger in self._triggers if trigger.shot is None]
            gone = [trigger for trigger in empty if older_than is None or trigger.asked_at < older_than]
            for trigger in gone:
                self._triggers.remove(trigger)
            return gone

    def wait(self, seconds: float) -> None:
        """Until there is a picture, something has changed, or the time is up."""
        with self._changed:
            paced = self._shots and self.pace.every_frame_waits and self.pace.trigger == "time"
            if paced:
                seconds = min(seconds, max(0.0, self._due - self._clock()))
            self._changed.wait_for(lambda: self.closed or self._stirred or self._ready(), seconds)
            self._stirred = False

    def stir(self) -> None:
        """Something else has changed."""
        with self._changed:
            self._stirred = True
            self._changed.notify_all()

    def close(self) -> None:
        """No more pictures."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def _ready(self) -> bool:
        if self.pace.trigger == "software":
            return bool(self._triggers) and (self._triggers[0].shot is not None or bool(self._shots))
        return bool(self._shots) and (not self.pace.every_frame_waits or self._clock() >= self._due)


def _waits(trigger: Trigger, at: float) -> bool:
    return trigger.shot is None and trigger.asked_at <= at
