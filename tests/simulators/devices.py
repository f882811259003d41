"""A camera whose library does what a test wants: deliver, fail, hang, return nothing, not open at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from contracts.errors import LinkError
from edge_agent.sources.device import Ended, Picture
from tests.simulators.small_bundle import picture

FRAME_SECONDS = 0.005


class FakeLibrary:
    """Opens fake devices; `mode` holds for all of them: `delivers`, `fails`, `hangs`, `nothing`, `breaks`, `ends`."""

    def __init__(self, mode: str = "delivers", *, level: int = 80, refuse: int = 0) -> None:
        self.mode, self.level = mode, level
        self.refuse = refuse
        """How many more openings fail."""
        self.opened: list[FakeDevice] = []
        self.frozen = False
        """Every picture is the same from now on."""
        self.frames = 0
        self._released = threading.Event()

    def open(self) -> FakeDevice:
        """One more device."""
        if self.refuse > 0:
            self.refuse -= 1
            raise LinkError("it cannot be opened")
        device = FakeDevice(self)
        self.opened.append(device)
        return device

    def release(self) -> None:
        """Calls that hang return."""
        self._released.set()

    def hang(self) -> None:
        """As a library does whose camera was unplugged at the wrong moment."""
        self._released.wait(60)


class FakeDevice:
    """One opened device."""

    def __init__(self, library: FakeLibrary) -> None:
        self._library = library
        self._modes: dict[str, Callable[[], bool]] = {
            "delivers": self._deliver,
            "fails": self._fail,
            "hangs": self._hang,
            "nothing": self._nothing,
            "breaks": self._break,
            "ends": self._end,
        }
        self.closed = threading.Event()

    def grab(self) -> bool:
        """As the library's mode says."""
        time.sleep(FRAME_SECONDS)
        return self._modes[self._library.mode]()

    def retrieve(self) -> Picture:
        """Each is a little different, as a sensor's are."""
        library = self._library
        return Picture(picture(library.level, 0 if library.frozen else library.frames))

    def close(self) -> None:
        """Let go."""
        self.closed.set()

    def _deliver(self) -> bool:
        self._library.frames += 1
        return True

    def _fail(self) -> bool:
        raise LinkError("no more frames come from it")

    def _hang(self) -> bool:
        self._library.hang()
        return False

    def _nothing(self) -> bool:
        return False

    def _break(self) -> bool:
        raise RuntimeError("rtsp://viewer:secret@camera/ fell over")

    def _end(self) -> bool:
        raise Ended
