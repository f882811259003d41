"""One station that follows a signed channel: the agent as `lineside agent` starts it, and a registry that is served.

No monitor stands before it, so that what its gate would stop reaches the agent. When the agent's process ends it is
started again a second later, as systemd would.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import benchmarks
from benchmarks.faults.plant import SITE, is_up, query, wait
from contracts.channel import Channel, Release
from edge_agent.slots import Slots
from lineside.process import Child, free_port
from lineside.toml import write_toml
from monitor.registry import Registry
from tests.simulators.file_server import FileServer

AGENT = "agent-1"
_RESTART_SECONDS = 1.0
_ROOT = Path(benchmarks.__file__).parents[1]


class Station:
    """`folder` holds everything; `publish` is what a monitor would do."""

    def __init__(self, folder: Path, server: FileServer, registry: Registry, settings: dict[str, Any]) -> None:
        self.port = free_port()
        self.state = folder / "agent"
        self._registry, self._sequence = registry, 0
        (folder / "root.json").write_bytes(registry.trusted_root())
        values = {
            "site": SITE,
            "agent": AGENT,
            "state_folder": self.state,
            "production": False,
            "web": {"port": self.port},
            "monitor": {"url": server.url, "root_file": folder / "root.json", "poll_seconds": 0.5},
            **settings,
        }
        config = write_toml(folder / "agent.toml", values)
        words = [sys.executable, "-m", "lineside", "agent", "--config", str(config)]
        environment = {"PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"}
        self.child = Child("agent", words, folder / "agent.log", environment=environment)
        self.ends: list[float] = []
        """When the process was found to have ended by itself, monotonic."""

    @property
    def slots(self) -> Slots:
        """Of the agent, read from outside."""
        return Slots(self.state / "slots")

    def publish(self, bundle: Path | None, bundle_hash: str, reason: str) -> int:
        """Sign a channel that names this bundle (it was published before where there is no path); its sequence."""
        if bundle is not None:
            self._registry.publish_bundle(SITE, bundle)
        self._sequence += 1
        issued = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self._sequence)
        release = Release(number=self._sequence, bundle_hash=bundle_hash)
        self._registry.publish_channel(
            Channel(site=SITE, sequence=self._sequence, active=release, reason=reason, issued_at=issued)
        )
        return self._sequence

    def followed(self) -> int:
        """The newest channel that the agent has followed to its end."""
        with contextlib.suppress(sqlite3.OperationalError):
            found = query(self.state / "agent.sqlite", "SELECT value FROM facts WHERE name = 'channel_sequence'")
            return int(found[0][0]) if found else 0
        return 0

    def wait_until_ready(self) -> None:
        """Until it has a model and inspects."""
        wait(partial(is_up, f"http://127.0.0.1:{self.port}/ready"), "the station is ready")


@contextlib.contextmanager
def following(folder: Path, first: Path, first_hash: str, **settings: Any) -> Iterator[Station]:
    """A station that serves the bundle `first`, supervised; `settings` are those that are not its defaults."""
    os.environ["OMP_NUM_THREADS"] = "1"
    registry = Registry.init(folder / "registry", [SITE])
    with FileServer(folder / "served").running() as server:
        (folder / "served").mkdir()
        (folder / "served" / "registry").symlink_to(folder / "registry" / "repository")
        station = Station(folder, server, registry, settings)
        station.publish(first, first_hash, "the first")
        stopping = threading.Event()
        keeper = threading.Thread(target=_keep_running, args=(station, stopping), daemon=True)
        station.child.start()
        keeper.start()
        try:
            station.wait_until_ready()
            yield station
        finally:
            stopping.set()
            keeper.join()
            station.child.stop()


def _keep_running(station: Station, stopping: threading.Event) -> None:
    while not stopping.wait(0.05):
        if not station.child.running:
            station.ends.append(time.monotonic())
            stopping.wait(_RESTART_SECONDS)
            station.child.start()
