"""One opening of a device and the thread that reads it, until it fails, ends or is left.

Libraries of cameras can hang for ever in any call. So nobody waits for this thread: whoever supervises it looks at
when it last came back, leaves it, and goes on with another. If the call returns one day, the thread closes the device.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from contracts.errors import LinesideError
from edge_agent.sources.device import Device, Ended

_log = logging.getLogger(__name__)


class Attempt:
    """Opens a device and reads it; `seen(attempt, device)` for every frame, `changed()` whenever it ends."""

    def __init__(
        self,
        name: str,
        open_device: Callable[[], Device],
        *,
        seen: Callable[[Attempt, Device], None],
        changed: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._open_device, self._seen, self._changed, self._clock = name, open_device, seen, changed, clock
        self.started_at = self.beat_at = self.frame_at = clock()
        """When it began, when a call of the device last came back, when a frame last came (seconds of the clock)."""
        self.opened = False
        self.delivered_at: float | None = None
        """When its first frame came."""
        self.holding = False
        """It waits for whoever takes its frames, not for the device."""
        self.failure: str | None = None
        self.ended = False
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"grab {name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def leave(self, patience_seconds: float = 0.0) -> None:
        """Take nothing more from it; wait for at most that long until it has let go of the device."""
        self._left.set()
        if patience_seconds > 0:
            self._thread.join(patience_seconds)

    @property
    def left(self) -> bool:
        """Whether nothing more is taken from it."""
        return self._left.is_set()

    @property
    def running(self) -> bool:
        """Whether its thread still holds the device."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._read()
        except Ended:
            self.ended = True
        except LinesideError as error:
            self.failure = str(error)
        except Exception as error:  # noqa: BLE001 a camera's library may raise anything; it must not end the agent
            # Without its text: that may hold the address with a password.
            _log.error("%s: its library failed with %s", self._name, type(error).__name__)
            self.failure = f"its library failed ({type(error).__name__})"
        finally:
            self._changed()

    def _read(self) -> None:
        device = self._open_device()
        try:
            self.beat_at = self.frame_at = self._clock()
            self.opened = True
            self._changed()
            while not self.left:
                grabbed = device.grab()
                self.beat_at = self._clock()
                if grabbed and not self.left:
                    self._hand_on(device)
        finally:
            device.close()

    def _hand_on(self, device: Device) -> None:
        first = self.delivered_at is None
        self.frame_at = self.beat_at
        self.delivered_at = self.beat_at if self.delivered_at is None else self.delivered_at
        self.holding = True
        try:
            self._seen(self, device)
        finally:
            self.beat_at = self.frame_at = self._clock()
            self.holding = False
        if first:
            self._changed()
