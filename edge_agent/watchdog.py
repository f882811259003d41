"""What systemd is told (sd_notify): that the agent is up, what it does, and that it lives while the model answers."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping

_MICROSECOND = 1e-6


class Watchdog:
    """Talks to the service manager; without one it does nothing. See sd_notify(3) and `WatchdogSec=`."""

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        self._address = environment.pop("NOTIFY_SOCKET", "")  # what this process starts shall not speak for it
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        wanted, of = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", str(os.getpid()))
        self.seconds = int(wanted) * _MICROSECOND if wanted.isdigit() and of == str(os.getpid()) else None
        """The manager restarts a service from which it has not heard for so long; None: it does not watch."""

    def ready(self) -> None:
        """The agent answers."""
        self._tell("READY=1")

    def stopping(self) -> None:
        """It ends in order."""
        self._tell("STOPPING=1")

    def alive(self, status: str) -> None:
        """The model answers; `status` in a few words, for `systemctl status`."""
        self._tell(f"WATCHDOG=1\nSTATUS={status}")

    def trouble(self, status: str) -> None:
        """The model does not answer: said, but no sign of life."""
        self._tell(f"STATUS={status}")

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as way:
            try:
                way.sendto(text.encode(), self._address)
            except OSError:
                return  # a manager that does not listen is no reason not to inspect
