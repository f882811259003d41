"""Free TCP ports and waiting for somebody to listen on one."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import time

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS = range(10_000 + _WORKER % 2, 32_768, 2)  # of two workers each has its own; none that Linux gives away by itself


def free_port() -> int:
    """A TCP port on loopback that nobody listened on a moment ago, and that no other worker of these tests draws."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


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
