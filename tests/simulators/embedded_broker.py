"""The broker that comes with Lineside, as a process of its own: started and killed at will, with a password."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.simulators.port import free_port, wait_until_it_listens

_ROOT = Path(__file__).parents[2]


@dataclass
class EmbeddedBroker:
    """`folder` takes its configuration; users are `monitor` and the agent `agent-1` of the site `plant`."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.folder.mkdir(exist_ok=True)
        file = self.folder / "broker.toml"
        file.write_text(
            f"port = {self.port}\n"
            '[[users]]\nname = "monitor"\npassword = "monitor-secret"\n'
            '[[users]]\nname = "agent-1"\npassword = "agent-secret"\nsite = "plant"\n'
        )
        command = [sys.executable, "-m", "lineside", "broker", "--config", str(file), "--folder", str(self.folder)]
        with (self.folder / "broker.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=_ROOT)
        wait_until_it_listens(self.port, self.process)

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
