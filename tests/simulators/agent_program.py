"""An agent as a process of its own, to be killed: `python agent_program.py FOLDER PORT BUNDLE`.

Its line has two cameras that count on over restarts, as real ones would: a frame that was taken and not recorded is
gone. FOLDER/taken holds one line for every frame; FOLDER/inbox is watched. FOLDER/enough ends the line.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from contracts.frame import Frame
from edge_agent.agent import run_agent
from edge_agent.settings import (
    AgentSettings,
    BrokerSettings,
    BundleSettings,
    FolderSettings,
    RecordSettings,
    WebSettings,
    WindowSettings,
)
from edge_agent.source import Capture
from runtime.bundle import open_bundle
from tests.simulators.small_bundle import picture

CAMERAS = ("cam-a", "cam-b")


class CountingLine:
    """Frames of two cameras in turn; what it took is written down before it is handed on."""

    name = "line"

    def __init__(self, folder: Path) -> None:
        self._taken, self._enough = folder / "taken", folder / "enough"
        self._closed = threading.Event()

    def captures(self) -> Iterator[Capture | None]:
        """Until closed; nothing more once there is enough."""
        lines = self._taken.read_text().split() if self._taken.exists() else []
        following = Counter(line.rpartition("-")[0] for line in lines)
        with self._taken.open("a", buffering=1) as taken:
            while not self._closed.is_set():
                if self._enough.exists():
                    yield None
                    time.sleep(0.05)
                    continue
                for camera in CAMERAS:
                    sequence = following[camera]
                    following[camera] += 1
                    taken.write(f"{camera}-{sequence}\n")
                    frame = Frame(
                        part_id=f"{camera}-{sequence}",
                        sequence=sequence,
                        camera=camera,
                        triggered_at=datetime.now(UTC),
                    )
                    yield Capture(frame, picture(80, sequence))
                time.sleep(0.004)

    def close(self) -> None:
        """No more."""
        self._closed.set()


def main(folder: Path, port: int, bundle_path: Path) -> None:
    """Run until killed."""
    settings = AgentSettings(
        site="plant",
        agent="agent-1",
        state_folder=folder / "agent",
        web=WebSettings(port=0),
        window=WindowSettings(images=25),
        record=RecordSettings(commit_images=10),
        broker=BrokerSettings(port=port, resend_seconds=1.0, longest_wait_seconds=1.0),
        bundle=BundleSettings(path=bundle_path, hash=open_bundle(bundle_path).hash),
        folders=(FolderSettings(path=folder / "inbox", camera="inbox", scan_seconds=0.05, settle_seconds=0.0),),
    )
    run_agent(settings, [CountingLine(folder)], started=lambda url: print(url, flush=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
