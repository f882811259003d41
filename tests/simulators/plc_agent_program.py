"""An agent with a PLC, as a process of its own, to be killed: `python plc_agent_program.py FOLDER PORT BUNDLE`.

Its camera shows good parts while FOLDER/parts exists.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from contracts.answer import SafeAction
from contracts.frame import Frame
from edge_agent.agent import run_agent
from edge_agent.outputs.settings import OpcUaSettings, OutputsSettings
from edge_agent.settings import AgentSettings, BundleSettings, InspectionSettings, WebSettings
from edge_agent.source import Capture
from runtime.bundle import open_bundle
from tests.simulators.small_bundle import picture

GOOD = 80


class PartsCamera:
    """One picture every few milliseconds while there are parts."""

    name = "camera"

    def __init__(self, folder: Path) -> None:
        self._parts = folder / "parts"
        self._closed = threading.Event()

    def captures(self) -> Iterator[Capture | None]:
        """Until closed."""
        number = time.time_ns() // 1_000_000  # goes on over restarts
        while not self._closed.wait(0.01):
            if not self._parts.exists():
                yield None
                continue
            number += 1
            frame = Frame(part_id=f"cam-a-{number}", sequence=number, camera="cam-a", triggered_at=datetime.now(UTC))
            yield Capture(frame, picture(GOOD, number % 1000))

    def close(self) -> None:
        """No more."""
        self._closed.set()


def main(folder: Path, port: int, bundle_path: Path) -> None:
    """Run until killed."""
    plc = OpcUaSettings(name="plc", camera="cam-a", port=port)
    settings = AgentSettings(
        site="plant",
        agent="agent-1",
        state_folder=folder / "agent",
        web=WebSettings(port=0),
        inspection=InspectionSettings(deadline_seconds=120.0),
        bundle=BundleSettings(path=bundle_path, hash=open_bundle(bundle_path).hash),
        outputs=OutputsSettings(safe_action=SafeAction.DIVERT, heartbeat_seconds=0.1, opcua=(plc,)),
    )
    run_agent(settings, [PartsCamera(folder)], started=lambda url: print(url, flush=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
