"""One shift of the station: what happens when, and what is noted of it."""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.line.cadence import Cadence
from benchmarks.line.cameras import triggering
from benchmarks.line.centre import AGENT, SITE, Centre
from benchmarks.line.outage import fill_outbox
from benchmarks.serving.servers import Server, free_port, running, wait_until_ready
from runtime.bundle import Bundle

CAMERAS = ("cam-a", "cam-b")
_ACTIVATIONS = 0.35, 0.65  # shares of the shift
_ORDERS = 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9
_SCRAPE_SECONDS = 5.0
_CONFIG = """\
site = "{site}"
agent = "{agent}"
state_folder = "{state}"
production = false

[window]
seconds = {window}

[outbox]
max_bytes = {outbox}

[buffer]
quota_bytes = {quota}

[web]
port = {port}
queue = {queue}

[broker]
port = {broker}

[monitor]
url = "{door}"
root_file = "{root}"
"""

Step = tuple[float, str, Callable[[], None]]
"""Seconds after the start, what happens, and how."""


@dataclass(frozen=True)
class Load:
    """How much waits and is kept."""

    outbox_bytes: int = 60_000_000
    quota_bytes: int = 200_000_000
    images_each: int = 200
    """Uploaded of each camera for one order."""
    window_seconds: float = 5.0
    queue: int = 64
    """Images that may wait at the station: a fifth of a second at 300 a second."""


@dataclass
class Diary:
    """What happened: `entries` are (seconds after the start, what), `gauges` (seconds, metrics by name)."""

    entries: list[tuple[float, str]] = field(default_factory=list)
    gauges: list[tuple[float, dict[str, float]]] = field(default_factory=list)


class Shift:
    """A station with two bundles that it may be told to run, and its centre."""

    def __init__(self, folder: Path, bundles: Sequence[Bundle], load: Load) -> None:
        self._folder, self._bundles, self._load = folder, bundles, load
        self.centre = Centre(folder / "centre")
        self.state = folder / "state"
        self._config = folder / "agent.toml"
        self._port = free_port()
        for bundle in bundles:
            self.centre.publish(bundle)
        self.centre.release(bundles[0].hash)
        self._write_config()

    @contextmanager
    def station(self) -> Iterator[Server]:
        """The command that a station runs, until it is ready to inspect."""
        words = [sys.executable, "-m", "lineside", "agent", "--config", str(self._config)]
        with running(words) as process:
            wait_until_ready(self._port, "/ready", process)
            yield Server(f"http://127.0.0.1:{self._port}/v1/inspect", process)

    def fill_outbox(self) -> int:
        """As after an outage; the station must have inspected and be off."""
        return fill_outbox(self.state, AGENT, size_bytes=self._load.outbox_bytes)

    def run(self, cadence: Cadence, ledger: Path, *, eventful: bool = True) -> Diary:
        """The cameras trigger; the outage ends, bundles are released, images are asked for, or nothing of that where it
        is not `eventful`. The station is on."""
        diary = Diary()
        with triggering(cadence, ledger) as cameras:
            self._live(self._plan(cadence.seconds) if eventful else [], diary, cameras)
        return diary

    def _live(self, plan: Sequence[Step], diary: Diary, cameras: subprocess.Popen[str]) -> None:
        began = time.monotonic()
        for at, what, do in plan:
            while time.monotonic() - began < at and cameras.poll() is None:
                self._scrape(diary, time.monotonic() - began)
                time.sleep(max(0.0, min(_SCRAPE_SECONDS, began + at - time.monotonic())))
            do()
            diary.entries.append((round(time.monotonic() - began, 3), what))
        cameras.wait()
        self._scrape(diary, time.monotonic() - began)

    def _plan(self, seconds: float) -> list[Step]:
        def release(bundle: Bundle) -> Callable[[], None]:
            return lambda: self.centre.release(bundle.hash)

        def order() -> None:
            for camera in CAMERAS:
                self.centre.order_images(camera, self._load.images_each)

        plan: list[Step] = [(0.0, "the broker is back", self.centre.connect)]
        plan += [(share * seconds, "images are asked for", order) for share in _ORDERS]
        for number, share in enumerate(_ACTIVATIONS, start=1):
            bundle = self._bundles[number % len(self._bundles)]
            plan.append((share * seconds, f"bundle {bundle.hash[:12]} is released", release(bundle)))
        plan.append((seconds, "the last trigger", lambda: None))
        return sorted(plan, key=lambda each: each[0])

    def _scrape(self, diary: Diary, at: float) -> None:
        """As Prometheus would."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        except OSError:
            text = ""
        finally:
            connection.close()
        found = re.findall(r"^lineside_agent_((?:outbox|buffer)_\w+) (\S+)$", text, re.MULTILINE)
        diary.gauges.append((round(at, 3), {name: float(value) for name, value in found}))

    def _write_config(self) -> None:
        self._config.write_text(
            _CONFIG.format(
                site=SITE,
                agent=AGENT,
                state=self.state,
                window=self._load.window_seconds,
                outbox=self._load.outbox_bytes * 16 // 15,
                quota=self._load.quota_bytes,
                port=self._port,
                queue=self._load.queue,
                broker=self.centre.broker.port,
                door=self.centre.door.url,
                root=self.centre.root_file,
            )
        )

    def close(self) -> None:
        """The centre ends."""
        self.centre.close()
