"""The thread and the queue of one output. Whatever happens in it stays in it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from contracts.answer import Answer, SafeAction
from contracts.errors import LinkError
from contracts.frame import Decision, Verdict
from contracts.part import PartVerdict
from edge_agent.deadline import in_time
from edge_agent.outputs.output import Output, Pulse, Refused
from edge_agent.trouble import Trouble

_FIRST_WAIT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 5.0  # a line notices each second without a heartbeat
_LAST_WORDS_SECONDS = 2.0
_JOIN_SECONDS = 5.0
_log = logging.getLogger(__name__)

Count = Callable[[str], None]
"""Counts `delivered`, `late`, `refused`, `overflow` and `failed`."""


@dataclass(frozen=True)
class Told:
    """A verdict on its way to the line. `since`: monotonic seconds of the trigger; `part`: what was decided about the
    part of which this is a view."""

    verdict: Verdict
    since: float
    deadline_seconds: float
    part: PartVerdict | None = None

    @property
    def decision(self) -> Decision:
        """What the line is to hear, in time."""
        return self.verdict.decision if self.part is None else self.part.decision


@dataclass(frozen=True)
class Letterhead:
    """What all answers of an agent have in common."""

    site: str
    agent: str
    safe_action: SafeAction

    def answer(self, told: Told, now: float) -> Answer:
        """What may still be said at `now` (monotonic seconds)."""
        age = max(0.0, now - told.since)
        verdict = in_time(told.verdict, age=age, deadline=told.deadline_seconds)
        decision, reason = verdict.decision, verdict.reason
        if told.part is not None and age <= told.deadline_seconds:
            decision, reason = told.part.decision, told.part.reason
        elif told.part is not None:
            decision = Decision.NO_VERDICT
        return Answer(
            site=self.site,
            agent=self.agent,
            part_id=verdict.frame.part_id,
            camera=verdict.frame.camera,
            sequence=verdict.frame.sequence,
            decision=decision,
            reason=reason,
            safe_action=self.safe_action,
            age_seconds=age,
            deadline_seconds=told.deadline_seconds,
            recorded=told.verdict,
        )


class Lane:
    """Feeds one output from a bounded queue. When that is full the oldest answer goes: the line waits for the newest.
    `well`: inspection does not hang; without it the heartbeat counts no further. `unready`: why no part can be judged.

    What is queued is in memory only. An answer that could not be delivered while the agent lived is on record, but is
    not sent after a restart: by then the part is elsewhere.
    """

    def __init__(
        self,
        output: Output,
        letterhead: Letterhead,
        *,
        cameras: Collection[str] = (),
        queue: int,
        beat_seconds: float,
        well: Callable[[], bool],
        unready: Callable[[], str | None],
        count: Count,
    ) -> None:
        self.output = output
        self._letterhead, self._cameras, self._count = letterhead, frozenset(cameras), count
        self._well, self._unready = well, unready
        self._beat_seconds = beat_seconds
        self._length = queue
        self._waiting: deque[Told] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"output {output.name}", daemon=True)
        self._is_open = False
        self._next_beat = 0.0  # monotonic
        self._beats = 0
        self._wait_seconds = _FIRST_WAIT_SECONDS
        self.trouble: Trouble | None = None
        """Since when and why this output fails, or None."""

    @property
    def waiting(self) -> int:
        """Answers that are not delivered yet."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin, in the background."""
        self._thread.start()

    def tell(self, told: Told) -> None:
        """Queue a verdict; never waits."""
        if self._cameras and told.verdict.frame.camera not in self._cameras:
            return
        with self._lock:
            if len(self._waiting) >= self._length:
                self._waiting.popleft()
                self._count("overflow")
            self._waiting.append(told)
        self._wake.set()

    def close(self) -> None:
        """Deliver what can be delivered at once, then let go."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=_JOIN_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not self._attempt(self._work):
                self._stopping.wait(self._wait_seconds)
                self._wait_seconds = min(2 * self._wait_seconds, _LONGEST_WAIT_SECONDS)
        if self._is_open:
            self._attempt(self._last_words)
            self._attempt(self.output.close)

    def _attempt(self, work: Callable[[], None]) -> bool:
        """Whether it worked. An output that breaks in a way it does not know is closed and opened again."""
        try:
            work()
        except LinkError as error:
            self._fail(str(error))
        except Exception as error:  # noqa: BLE001 - the line goes on, whatever an output or its library does
            _log.exception("output %s", self.output.name)
            self._fail(f"{type(error).__name__}: {error}")
            self._reopen_later()
        else:
            return True
        return False

    def _work(self) -> None:
        """Open, beat, and deliver until nothing waits; then wait for more."""
        if not self._is_open:
            self.output.open()
            self._is_open = True
            self._healthy()
        while not self._stopping.is_set():
            self._beat()
            if not self._deliver_next():
                self._wake.wait(max(0.0, self._next_beat - time.monotonic()))
                self._wake.clear()

    def _last_words(self) -> None:
        limit = time.monotonic() + _LAST_WORDS_SECONDS
        while time.monotonic() < limit and self._deliver_next():
            pass

    def _beat(self) -> None:
        now = time.monotonic()
        if now < self._next_beat:
            return
        self._next_beat = now + self._beat_seconds
        self._beats += self._well()
        if self.output.beat(Pulse(self._beats, self._unready())):
            self._healthy()

    def _deliver_next(self) -> bool:
        """Whether there was something to deliver. What has to be tried again stays the first in the queue."""
        with self._lock:
            if not self._waiting:
                return False
            told = self._waiting.popleft()
        answer = self._letterhead.answer(told, time.monotonic())
        try:
            self.output.deliver(answer)
        except LinkError:
            self._put_back(told)
            raise
        except Refused as error:
            self._count("refused")
            self._note(str(error))
            return True
        except Exception:
            self._count("refused")
            raise
        self._count("delivered" if answer.decision is told.decision else "late")
        self._healthy()
        return True

    def _put_back(self, told: Told) -> None:
        with self._lock:
            if len(self._waiting) < self._length:
                self._waiting.appendleft(told)
            else:
                self._count("overflow")

    def _healthy(self) -> None:
        if self.trouble is not None:
            _log.warning("output %s works again", self.output.name)
        self.trouble = None
        self._wait_seconds = _FIRST_WAIT_SECONDS

    def _fail(self, reason: str) -> None:
        self._count("failed")
        self._note(reason)

    def _note(self, reason: str) -> None:
        if self.trouble is None:
            since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            self.trouble = Trouble(
                f"output {self.output.name} has failed since {since}: {reason}",
                code="output",
                details=reason,
                name=self.output.name,
                since=since,
            )
            _log.warning("%s", self.trouble)

    def _reopen_later(self) -> None:
        if self._is_open:
            self._is_open = False
            try:
                self.output.close()
            except Exception:  # noqa: BLE001 - it is broken already
                _log.exception("output %s cannot be closed", self.output.name)
