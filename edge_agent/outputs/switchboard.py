"""All outputs of an agent: tells each of them, never waits for any."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from edge_agent.outputs.lane import Lane, Told
from edge_agent.trouble import Trouble


class Switchboard:
    """Hands every verdict to every lane."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self.lanes = tuple(lanes)

    def start(self) -> None:
        """Begin, in the background; none has to be there for inspection to go on."""
        for lane in self.lanes:
            lane.start()

    def tell(self, told: Told) -> None:
        """A verdict is on record."""
        for lane in self.lanes:
            lane.tell(told)

    def troubles(self) -> list[Trouble]:
        """Which output has failed since when, and why."""
        return [lane.trouble for lane in self.lanes if lane.trouble is not None]

    def close(self) -> None:
        """Let go of all of them side by side."""
        closing = [threading.Thread(target=lane.close, daemon=True) for lane in self.lanes]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join()
