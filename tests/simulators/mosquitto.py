"""A real Mosquitto on a free loopback port, started, stopped and killed at will. It keeps nothing over a restart."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.simulators.port import free_port, wait_until_it_listens


@dataclass
class Mosquitto:
    """`program` is the path of mosquitto, `folder` takes configuration and log, `port` stays over restarts.
    `complete` replaces the whole configuration; it must listen on `port`."""

    program: str
    folder: Path
    port: int = field(default_factory=free_port)
    configuration: str = "allow_anonymous true\npersistence false\n"
    host: str = "127.0.0.1"
    complete: str | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What the broker said, over all starts."""
        return self.folder / "mosquitto.log"

    def start(self) -> None:
        """Start it and wait until it listens."""
        file = self.folder / "mosquitto.conf"
        text = self.complete or f"listener {self.port} {self.host}\n{self.configuration}"
        file.write_text(text, encoding="utf-8")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([self.program, "-v", "-c", str(file)], stdout=log, stderr=log)
        wait_until_it_listens(self.port, self.process)

    def stop(self) -> None:
        """End it in order (SIGTERM)."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
