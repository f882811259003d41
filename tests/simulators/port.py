"""Free TCP ports and waiting for somebody to listen on one."""

from __future__ import annotations

import socket
import subprocess
import time


def free_port() -> int:
    """A TCP port on loopback that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody accepts connections on the loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until_it_listens(port: int, process: subprocess.Popen[bytes], *, seconds: float = 20.0) -> None:
    """Return as soon as somebody listens. Raises RuntimeError when the process ends before, or at the limit."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if listens(port):
            return
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode} before it listened")
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} does not listen on {port}")
