"""Which waiting messages are sent next: all of them oldest first, or what is new beside what an outage has left.

A boot that falls behind ends, and what is new has numbers of its own. A monitor that takes late messages (it says so in
its acknowledgements) gets two lanes: the present boot with the one that it has followed in this start of the agent, and
all before them. Each goes in the order of its own
sequences and is acknowledged for itself, so that a gap still means loss and nothing is counted twice. Older monitors
get everything in one lane, oldest first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from edge_agent.outbox import Lane, Message, Outbox

IN_FLIGHT = 64  # messages sent and not acknowledged
SHARE = 48  # of them at most in one of two lanes: neither waits for the other
FAR_BEHIND = 4 * IN_FLIGHT  # messages of the present boot that were not sent yet, when it ends
_PATIENCE = 4.0  # times `resend_seconds` at most, where acknowledgements are slow


class Lanes:
    """Used by one thread, the uplink's."""

    def __init__(self, outbox: Outbox, *, resend_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._outbox, self._clock = outbox, clock
        self._resend_seconds = resend_seconds
        self.begin()

    def begin(self) -> None:
        """A new connection: everything is sent again, and nothing is known yet of the monitor behind it."""
        self._arrange(Lane(after=0, through=None, most=IN_FLIGHT))

    def exchange(self, acknowledged: Mapping[str, int]) -> tuple[int, list[Message]]:
        """Forget what is acknowledged and take what may be under way beside the rest, in one commit. Returns (how many
        went, those to send now)."""
        gone, messages = self._outbox.exchange(acknowledged, self._lanes[::-1], most=IN_FLIGHT)
        for message in messages:
            lane = next(lane for lane in self._lanes if lane.through is None or message.number <= lane.through)
            lane.cursor = max(lane.cursor, message.number)
        return gone, messages

    def divide(self) -> bool:
        """End the present boot where it has fallen far behind; returns whether another has begun, which wants the full
        state. For every so many messages, so that little of what is new is ever behind."""
        if not self._outbox.is_behind(self._lanes[-1].cursor, FAR_BEHIND):
            return False
        self._outbox.divide()
        if len(self._lanes) > 1:
            self.take_late()
        return True

    def take_late(self) -> None:
        """The monitor takes late messages: from now on what is new goes beside what is late."""
        newest_late, first, last = self._outbox.newest_late, self._lanes[0], self._lanes[-1]
        if first.through == newest_late:
            return
        sent = last.cursor if first.cursor in (first.through, last.cursor) else first.cursor
        self._arrange(
            Lane(after=0, through=newest_late, most=SHARE, late=True, cursor=min(sent, newest_late)),
            Lane(after=newest_late, through=None, most=SHARE, cursor=last.cursor),
        )

    def stalled(self) -> int:
        """How many messages are sent again, because nothing of their lane was acknowledged for a while."""
        return sum(watch.again() for watch in self._watches)

    def _arrange(self, *lanes: Lane) -> None:
        """By number; the last one is the newest and served first."""
        self._lanes = lanes
        self._watches = [_Watch(self._outbox, lane, self._resend_seconds, self._clock) for lane in lanes]


class _Watch:
    """Over one lane: does what is under way move?"""

    def __init__(self, outbox: Outbox, lane: Lane, resend_seconds: float, clock: Callable[[], float]) -> None:
        self._outbox, self._lane, self._clock = outbox, lane, clock
        self._least = self._patience = resend_seconds
        self._oldest: int | None = None
        self._moved_at = self._sent_at = clock()

    def again(self) -> int:
        """Start the lane anew where nothing moves; returns how many messages that sends again. Acknowledgements that
        are slow and come are waited for."""
        count, oldest = self._outbox.under_way(self._lane)
        now = self._clock()
        if oldest is None or oldest != self._oldest:
            took = 0.0 if self._oldest is None else now - self._moved_at
            self._patience = min(max(self._least, 2.0 * took), _PATIENCE * self._least)
            self._oldest, self._moved_at, self._sent_at = oldest, now, now
            return 0
        if now - self._sent_at <= self._patience:
            return 0
        self._lane.cursor, self._sent_at = self._lane.after, now
        return count
