"""Which waiting messages are sent next: all of them oldest first, or what is new beside what an outage has left.

A monitor that takes late messages (it says so in its acknowledgements) gets two lanes: the present boot, and the boots
before it. Each goes in the order of its own sequences and is acknowledged for itself, so that a gap still means loss
and nothing is counted twice. Where the present boot has fallen behind, because the outage is one of this very boot, it
ends and another begins. Older monitors get everything in one lane.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from edge_agent.outbox import Lane, Message, Outbox

IN_FLIGHT = 64  # messages sent and not acknowledged
SHARE = 48  # of them at most in one of two lanes: neither waits for the other
FAR_BEHIND = 2 * IN_FLIGHT  # messages of the present boot that were not sent yet, when it ends
DIVIDED_SECONDS = 60.0  # at least, from one division to the next
_PATIENCE = 4.0  # times `resend_seconds` at most, where acknowledgements are slow


class Lanes:
    """Used by one thread, the uplink's."""

    def __init__(self, outbox: Outbox, *, resend_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._outbox, self._clock = outbox, clock
        self._resend_seconds = resend_seconds
        self._divided_at = -DIVIDED_SECONDS
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

    def take_late(self) -> bool:
        """The monitor takes late messages: keep what is new apart from now on. Returns whether another boot was begun,
        which wants the full state."""
        self._arrange_two(sent=max(lane.cursor for lane in self._lanes))
        now = self._clock()
        if now - self._divided_at < DIVIDED_SECONDS or not self._outbox.is_behind(self._lanes[-1], FAR_BEHIND):
            return False
        self._divided_at = now
        self._outbox.divide()
        late, live = self._lanes
        self._arrange_two(sent=live.cursor if late.cursor == late.through else late.cursor)
        return True

    def stalled(self) -> int:
        """How many messages are sent again, because nothing of their lane was acknowledged for a while."""
        return sum(watch.again() for watch in self._watches)

    def _arrange_two(self, *, sent: int) -> None:
        """What waited before the present boot and what is of it, sent up to that number."""
        newest_late = self._outbox.newest_late
        if [lane.through for lane in self._lanes] == [newest_late, None]:
            return
        self._arrange(
            Lane(after=0, through=newest_late, most=SHARE, late=True, cursor=min(sent, newest_late)),
            Lane(after=newest_late, through=None, most=SHARE, cursor=sent),
        )

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
