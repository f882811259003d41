"""An agent whose line is told by whoever started it, on a clock of its own: `python told_agent.py SETTINGS.json`.

A line of its input is one frame: camera, number, seconds since 1970, brightness. Each that is on record is
answered by a line: camera, number.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from contracts.frame import Frame, Verdict
from edge_agent.agent import run_agent
from edge_agent.settings import AgentSettings
from edge_agent.source import Capture
from tests.simulators.small_bundle import picture


class ToldLine:
    """Frames from standard input."""

    name = "line"

    def __init__(self) -> None:
        self._closed = threading.Event()

    def captures(self) -> Iterator[Capture | None]:
        """Until the input ends."""
        for text in sys.stdin:
            camera, number, seconds, level = text.split()
            if self._closed.is_set():
                return
            moment = datetime.fromtimestamp(float(seconds), UTC)
            frame = Frame(part_id=f"{camera}-{number}", sequence=int(number), camera=camera, triggered_at=moment)
            yield Capture(frame, picture(int(level), int(number)), recorded=_tell)

    def close(self) -> None:
        """No more."""
        self._closed.set()


_telling = threading.Lock()  # commits come from several threads


def _tell(verdict: Verdict) -> None:
    with _telling:
        print(verdict.frame.camera, verdict.frame.sequence, flush=True)


if __name__ == "__main__":
    settings = AgentSettings.model_validate_json(Path(sys.argv[1]).read_bytes())
    run_agent(settings, [ToldLine()], started=lambda url: print("started", url, flush=True))
