"""Child processes of one machine: started with a log file each, ended by pid, never by name."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from contracts.errors import LinesideError


@dataclass
class Child:
    """One service as a child process that can be ended, killed and started again."""

    name: str
    command: Sequence[str]
    log: Path
    environment: dict[str, str] | None = None
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; its output goes to the end of the log file."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                list(self.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(self.environment or {})},
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def check(self) -> None:
        """Raise LinesideError with the end of its log when it has ended."""
        if not self.running:
            code = self.process.returncode if self.process else None
            raise LinesideError(f"{self.name} ended with code {code}; the end of {self.log}:\n{self.tail()}")

    def tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def kill(self) -> None:
        """Kill -9, as a power cut would."""
        if self.running and self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self, patience_seconds: float = 15.0) -> None:
        """Ask it and the processes of its group to end, then insist."""
        if not self.running or self.process is None:
            return
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def free_port() -> int:
    """A TCP port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, child: Child, *, patience_seconds: float = 30.0) -> None:
    """Return once `port` accepts connections. Raises LinesideError when the child ends or patience runs out."""
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        child.check()
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
            return
        except OSError:
            time.sleep(0.1)
    raise LinesideError(f"{child.name} did not open port {port} within {patience_seconds:.0f} s; see {child.log}")


def wait_for_answer(url: str, child: Child, *, patience_seconds: float = 60.0) -> None:
    """Return once `url` answers 2xx. Raises LinesideError when the child ends or patience runs out."""
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        child.check()
        try:
            if httpx.get(url, timeout=2.0).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise LinesideError(f"{child.name} did not answer {url} within {patience_seconds:.0f} s; see {child.log}")
