"""Keeps one device going: opens it, notices when it fails, hangs or falls silent, backs off, opens it again.

`step` is called by the source's own thread, again and again, and returns at once whatever the device does. It never
ends the agent: what is wrong is said in the log, on the page (`trouble`) and by `down`, and so is the recovery by `up`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from edge_agent.sources.attempt import Attempt
from edge_agent.sources.backoff import Backoff
from edge_agent.sources.device import Device
from edge_agent.trouble import Trouble

MOST_HUNG = 3  # threads that hang in a library; more would only pile up
OPENING_FACTOR = 3  # opening may take as many times the silence that is allowed later
_BEAT_SECONDS = 0.5
_CLOSE_SECONDS = 2.0
_log = logging.getLogger(__name__)


class Supervisor:
    """One device under supervision.

    `silent_seconds`: no call of the device takes longer, and where pictures `must_flow` (a camera that runs freely,
    not one that waits for its trigger) none stays away longer. `advice` tells people what to check;
    `kind` (of `web/texts`) and `shown` are for those who read another language.
    """

    def __init__(
        self,
        name: str,
        open_device: Callable[[], Device],
        *,
        seen: Callable[[Attempt, Device], None],
        changed: Callable[[], None],
        silent_seconds: float,
        must_flow: bool,
        advice: str,
        backoff: Backoff,
        again: bool = False,
        kind: str = "",
        shown: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._words = {"kind": kind, "name": shown or name}
        self._open_device, self._seen, self._changed = open_device, seen, changed
        self._silent_seconds, self._must_flow, self._advice = silent_seconds, must_flow, advice
        self._backoff, self._again, self._clock = backoff, again, clock
        self._attempt: Attempt | None = None
        self._due = clock()
        self._hung: list[Attempt] = []
        self.trouble: Trouble | None = None
        """What is wrong now, in plain words; None while all is well or nothing is known yet."""
        self.ended = False
        """A file that has been read to its end and is not read again."""
        self.down: Callable[[str], None] = lambda why: None
        """Called once when the device is given up, with the reason."""
        self.up: Callable[[], None] = lambda: None
        """Called once when it delivers again."""

    def step(self) -> float:
        """Do what is due; returns after how many seconds to come again at the latest."""
        now = self._clock()
        attempt = self._attempt
        if attempt is None:
            return self._maybe_open(now)
        if attempt.ended and attempt.delivered_at is not None:
            return self._end()
        why = self._wrong(attempt, now)
        if why is not None:
            return self._give_up(attempt, why, now)
        if self.trouble is not None and self._delivers(attempt):
            self._recover()
        return _BEAT_SECONDS

    def close(self) -> None:
        """Let go of the device; one that hangs is left behind."""
        if self._attempt is not None:
            self._attempt.leave(_CLOSE_SECONDS)

    def _maybe_open(self, now: float) -> float:
        if self.ended:
            return _BEAT_SECONDS
        if now < self._due:
            return self._due - now
        self._hung = [attempt for attempt in self._hung if attempt.running]
        if len(self._hung) >= MOST_HUNG:
            text = f"{len(self._hung)} calls to it hang; switch the camera off and on, or restart the agent"
            self._say(Trouble(text, code="source-piled-up", count=len(self._hung)))
            return _BEAT_SECONDS
        self._attempt = Attempt(self.name, self._open_device, seen=self._seen, changed=self._changed, clock=self._clock)
        self._attempt.start()
        return _BEAT_SECONDS

    def _wrong(self, attempt: Attempt, now: float) -> Trouble | None:
        if attempt.failure:
            return Trouble(attempt.failure, code="source-failed", details=attempt.failure)
        if attempt.ended:
            return Trouble("it holds no frames", code="source-empty")
        return self._stalled(attempt, now)

    def _stalled(self, attempt: Attempt, now: float) -> Trouble | None:
        limit = self._silent_seconds
        if attempt.holding:
            return None
        if not attempt.opened:
            limit *= OPENING_FACTOR
            slow = Trouble(f"opening it took longer than {limit:g} s", code="source-slow", seconds=float(limit))
            return slow if now - attempt.started_at > limit else None
        if now - attempt.beat_at > limit:
            return Trouble(f"it hangs: no answer for {limit:g} s", code="source-hangs", seconds=float(limit))
        if self._must_flow and now - attempt.frame_at > limit:
            return Trouble(f"no frames for {limit:g} s", code="source-silent", seconds=float(limit))
        return None

    def _give_up(self, attempt: Attempt, why: Trouble, now: float) -> float:
        attempt.leave()
        self._attempt = None
        if attempt.running:
            self._hung.append(attempt)
        worked = 0.0 if attempt.delivered_at is None else now - attempt.delivered_at
        wait = self._backoff.after(worked_seconds=worked)
        self._due = now + wait
        self._say(why)
        _log.warning("%s: %s; opening it again in %.0f s", self.name, why, wait)
        return wait

    def _say(self, why: Trouble) -> None:
        told = self.trouble is not None
        sentence = f"{self.name}: {why}. {self._advice} It is opened again by itself."
        self.trouble = why.within(sentence, **self._words)
        if not told:
            self.down(why)

    def _delivers(self, attempt: Attempt) -> bool:
        return attempt.delivered_at is not None or (attempt.opened and not self._must_flow)

    def _recover(self) -> None:
        self.trouble = None
        _log.info("%s: delivers again", self.name)
        self.up()

    def _end(self) -> float:
        """The file is at its end."""
        self._attempt = None
        if self._again:
            return 0.0
        self.ended = True
        _log.info("%s: read to its end", self.name)
        return _BEAT_SECONDS
