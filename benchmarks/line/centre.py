"""What is at the other end of a station's cables: a real broker, a registry, and who acknowledges and takes images.

All but the broker are threads of the benchmark, which gives way to the station: in a plant they are other machines.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeVar

from contracts.channel import Channel, Release
from contracts.errors import ConfigurationError
from contracts.orders import Sample
from contracts.telemetry import EventKind
from monitor.registry import Registry
from runtime.bundle import Bundle
from tests.simulators.listening_monitor import ListeningMonitor
from tests.simulators.mosquitto import Mosquitto

SITE, AGENT = "plant", "agent-1"
_BEHIND = 5  # what the centre's threads are behind the station
ResultT = TypeVar("ResultT")


class Door:
    """GET /registry/... serves signed files, POST /v1/images counts images."""

    def __init__(self, repository: Path) -> None:
        self.uploads = 0
        door = self

        class Handler(SimpleHTTPRequestHandler):
            def translate_path(self, path: str) -> str:
                return super().translate_path(path.removeprefix("/registry"))

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                door.uploads += 1
                self.send_response(201)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *each: Handler(*each, directory=str(repository)))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        behind(lambda: threading.Thread(target=self._server.serve_forever, daemon=True).start())

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


class Centre:
    """Serves one station. Nothing is connected before `connect`: until then there is an outage."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        if program is None:
            raise ConfigurationError("the line needs a real broker: apt-get install mosquitto")
        folder.mkdir()
        self._registry = Registry.init(folder / "registry", [SITE])
        self.root_file = folder / "root.json"
        self.root_file.write_bytes(self._registry.trusted_root())
        self.door = Door(folder / "registry" / "repository")
        self.broker = Mosquitto(program, folder)
        self.monitor: ListeningMonitor | None = None
        self._sequence = 0

    def publish(self, bundle: Bundle) -> None:
        """Sign a bundle, without making it the one to run."""
        self._registry.publish_bundle(SITE, bundle.path)

    def release(self, bundle_hash: str) -> None:
        """From now on the station shall run this bundle."""
        self._sequence += 1
        active = Release(number=self._sequence, bundle_hash=bundle_hash)
        channel = Channel(
            site=SITE, sequence=self._sequence, active=active, refused=(), reason="the line test", issued_at=_now()
        )
        self._registry.publish_channel(channel)

    def connect(self) -> None:
        """The outage is over."""
        self.broker.start()
        self.monitor = behind(lambda: ListeningMonitor(self.broker.port, site=SITE, agent=AGENT))

    def order_images(self, camera: str, count: int) -> None:
        """Images of one camera shall be uploaded."""
        if self.monitor is not None:
            number = f"sample-{camera}-{_now():%H%M%S%f}"
            self.monitor.order(
                Sample(
                    order_id=number,
                    issued_at=_now(),
                    expires_at=_now() + timedelta(hours=2),
                    reason="the line test",
                    camera=camera,
                    product="default",
                    random=count,
                    since=_now() - timedelta(days=1),
                )
            )

    @property
    def heard(self) -> int:
        """Messages that have come, each once."""
        return 0 if self.monitor is None else len(self.monitor.messages)

    @property
    def activations(self) -> int:
        """How often the station said that it runs another bundle."""
        return 0 if self.monitor is None else len(self.monitor.events(EventKind.BUNDLE_ACTIVATED))

    def close(self) -> None:
        """Everything ends."""
        if self.monitor is not None:
            self.monitor.close()
        self.broker.stop()
        self.door.close()


def behind(begin: Callable[[], ResultT]) -> ResultT:
    """What `begin` gives; the threads that it starts run behind the station (in Linux each thread has its own rank)."""
    found: list[ResultT] = []

    def begin_behind() -> None:
        os.nice(_BEHIND)
        found.append(begin())

    thread = threading.Thread(target=begin_behind)
    thread.start()
    thread.join()
    return found[0]


def _now() -> datetime:
    return datetime.now(UTC)
