"""A monitor as a process with a Mosquitto beside it, and the station of `tests.simulators.monitored_plant` outside of
them: it sends over MQTT until it is acknowledged, uploads and answers over HTTP, and follows the signed channel.

With `killing`, the monitor is killed (SIGKILL) as soon as its timeline shows something that it has not been killed at
before, and started again: once in every state that leaves a trace.
"""

from __future__ import annotations

import shutil
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx

from benchmarks.faults.plant import is_up, query
from contracts.errors import ConfigurationError, LinesideError
from contracts.telemetry import Envelope
from contracts.upload import ImageUpload
from lineside.process import Child, free_port
from monitor.registry import Registry
from tests.simulators.monitored_plant import AGENT, SITE, Plant, certified_bundle, write_gold
from tests.simulators.mosquitto import Mosquitto
from tests.simulators.outbox import Outbox

PATIENCE_SECONDS = 300.0
_LOOKS_EVERY = 10  # uploads or answers


class Outside(Plant):
    """`retrained` answers every retrain order. Use `serve_first` once, `close` at the end."""

    def start(self, port: int, *, killing: bool) -> None:
        """Begin with an empty monitor that listens on `port`."""
        self.works.close()
        self.killing, self.killed_at, self.states = killing, set[str](), list[str]()
        self.url, self.kept = f"http://127.0.0.1:{port}", dict[int, str]()
        file = self.folder / "settings.json"
        file.write_text(self.settings.model_dump_json())
        command = [sys.executable, "-m", "tests.simulators.monitor_program", str(file)]
        self.monitor = Child("monitor", command, self.folder / "monitor.log")
        self.outbox = Outbox(self.settings.broker.port, self.kept.__getitem__, site=SITE, agent=AGENT)
        self.sent = self.outbox.orders
        desk = SimpleNamespace(accept_image=self._upload)
        self.works = SimpleNamespace(registry=Registry.open(self.settings.registry), desk=desk)  # type: ignore[assignment]
        self._run()

    def _run(self) -> None:
        """Start it, and kill it again at what it does before it answers."""
        self.monitor.start()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_up(f"{self.url}/live"):
            self.monitor.check()
            if time.monotonic() > deadline:
                raise LinesideError(
                    f"{self.url} did not answer within {PATIENCE_SECONDS:.0f} s; see {self.monitor.log}"
                )
            if self._to_be_killed():
                self.monitor.kill()
                self.monitor.start()
            time.sleep(0.02)

    def close(self) -> None:
        """End the monitor; its database stays."""
        self.outbox.close()
        self.monitor.stop()

    # --- what the station does

    def send(self, body: Any) -> None:
        """One message into the outbox."""
        self.sequence += 1
        envelope = Envelope(agent=AGENT, boot=self.boot, sequence=self.sequence, sent_at=self.now, body=body)
        self.kept[self.sequence] = envelope.model_dump_json()
        self.outbox.produced = self.sequence

    def work(self) -> None:
        """Send what waits, look at the monitor, do what the channel says."""
        self.outbox.send()
        self._look()
        self._follow()

    def settle(self) -> None:
        """Until everything sent is judged."""
        self.until(lambda: self.outbox.acknowledged == self.sequence, "everything is acknowledged")
        behind = "SELECT COUNT(*) FROM boots WHERE processed < contiguous"
        self.until(lambda: self.rows(behind)[0][0] == 0, "everything is judged")

    def until(self, reached: Callable[[], Any], what: str) -> None:
        """Work until it is true. Raises LinesideError at the limit."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not reached():
            if time.monotonic() > deadline:
                raise LinesideError(f"waited {PATIENCE_SECONDS:.0f} s in vain until {what}")
            self.work()
            time.sleep(0.05)

    def _upload(self, described: ImageUpload, data: bytes, *, media_type: str) -> str | None:
        if self.parts % _LOOKS_EVERY == 0:
            self._look()
        files = {"image": ("part.png", data, media_type)}
        answer = httpx.post(
            f"{self.url}/v1/images", data={"upload": described.model_dump_json()}, files=files, timeout=60.0
        )
        answer.raise_for_status()
        return str(answer.json()["image_id"])

    def answer_queue(self, *, most: int = 1000, convention: dict[str, str] | None = None) -> int:
        """A rater answers what is asked, truthfully."""
        items = httpx.get(f"{self.url}/v1/labels/queue", params={"limit": most}, timeout=60.0).json()["items"]
        for number, item in enumerate(items):
            if number % _LOOKS_EVERY == 0:
                self.work()
            label = self.truth[item["part_id"]]
            self.post("/v1/labels", {"image_id": item["image_id"], "label": label, "rater": "rater-1"})
        return len(items)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """A person's or an engineer's request."""
        answer = httpx.post(f"{self.url}{path}", json=body, timeout=60.0)
        if answer.status_code != 410:  # the incident that asked was closed meanwhile
            answer.raise_for_status()
        return answer.json()

    @property
    def active_bundle_number(self) -> int | None:
        """The release that the station was told to serve, and serves."""
        channel = self.works.registry.channel(SITE)
        followed = channel is not None and channel.sequence == self.sequence_seen
        return channel.active.number if channel is not None and followed else None

    # --- what is seen of the monitor, and done to it

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        """Of its database."""
        try:
            return query(self.settings.state_folder / "monitor.db", text)
        except sqlite3.OperationalError:
            return [(None,)]

    def _look(self) -> None:
        if self._to_be_killed():
            self.monitor.kill()
            self._run()

    def _to_be_killed(self) -> bool:
        """Whether something stands on its timeline at which it was not killed yet; it is noted as killed at."""
        if not self.killing:
            return False
        codes = {str(code) for (code,) in self.rows("SELECT DISTINCT code FROM events") if code is not None}
        new = codes - self.killed_at
        self.killed_at |= new
        self.states += [", ".join(sorted(new))] if new else []
        return bool(new)


def begun(folder: Path, *, killing: bool) -> tuple[Outside, Mosquitto]:
    """An empty plant with its broker, both running. Raises ConfigurationError where Mosquitto is not installed."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise ConfigurationError("mosquitto is not installed: scripts/services does it where it may")
    folder.mkdir(parents=True)
    broker = Mosquitto(program, folder)
    broker.start()
    better = certified_bundle(folder / "better", ng=0.9995)
    port = free_port()
    changes = {"broker": {"port": broker.port}, "web": {"port": port}, "orders": {"resend_seconds": 0.2}}
    plant = Outside.make(folder / "plant", retrained=better.path, **changes)
    assert isinstance(plant, Outside)  # noqa: S101  made by its own class
    plant.start(port, killing=killing)
    bundle, gold = certified_bundle(folder / "first"), write_gold(folder / "gold")
    plant.birth()
    asked = {"bundle_folder": str(bundle.path), "gold_csv": str(gold), "reason": "first", "submitted_by": "lead"}
    plant.post("/v1/candidates", asked)
    plant.until(lambda: plant.active_bundle is not None, "the first release is served")
    return plant, broker
