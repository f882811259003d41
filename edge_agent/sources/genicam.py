"""Industrial cameras (GigE Vision, USB3 Vision, ...) through harvesters and the maker's GenTL producer, a `.cti` file.

A producer can be loaded once in a process, and looking for cameras anew makes those that run obsolete. So all cameras
of one producer share it; while one of them runs, the others are looked for on the interfaces that are known.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.errors import ConfigurationError, LinkError
from edge_agent.sources.device import Device, Picture

FORMATS = ("Mono8", "RGB8", "BGR8", "RGBa8", "BGRa8")
_FETCH_SECONDS = 1.0
_POLL_MS = 200  # of harvesters within a fetch; its default of 1 keeps a core busy
_SEARCH_MS = 1000
_TURN_SECONDS = 20.0


def load_harvesters() -> Any:
    """The module `harvesters.core`. Raises ConfigurationError where it is missing."""
    try:
        import harvesters.core
    except ImportError as error:
        raise ConfigurationError(
            f"GenICam cameras need harvesters, which does not load ({error}); install it with "
            "pip install -c constraints.txt '.[genicam]'"
        ) from error
    return harvesters.core


@dataclass(frozen=True)
class Features:
    """What is set on a camera. `line`: the input that triggers it; None: it runs freely."""

    pixel_format: str | None = None
    line: str | None = None


class Producer:
    """One maker's producer, shared by its cameras; see `producer_of`. Raises ConfigurationError where it is missing."""

    def __init__(self, file: Path) -> None:
        core = load_harvesters()
        if not file.is_file():
            raise ConfigurationError(f"there is no producer {file}; install the camera maker's GenTL software")
        self._file, self._harvester = file, core.Harvester()
        self._turn = threading.Lock()
        self._running = 0
        self._loaded = False

    def open(self, serial: str, features: Features) -> Any:
        """A camera that sends images: harvesters' acquirer. Raises LinkError."""
        with self._in_turn():
            self._running += 1
            try:
                return self._start(serial, features)
            except BaseException:
                self._running -= 1
                self._unload_when_idle()
                raise

    def close(self, acquirer: Any) -> None:
        """Let go of a camera, and with the last one of the producer."""
        with self._in_turn():
            self._running -= 1
            try:
                acquirer.destroy()
            finally:
                self._unload_when_idle()

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=_TURN_SECONDS):
            raise LinkError("another camera of the same producer hangs while it is opened")
        try:
            yield
        finally:
            self._turn.release()

    def _unload_when_idle(self) -> None:
        if self._running == 0:
            self._harvester.reset()
            self._loaded = False

    def _start(self, serial: str, features: Features) -> Any:
        acquirer = self._create(serial)
        try:
            _set(acquirer.remote_device.node_map, features)
            acquirer.timeout_period_on_client_fetch_call = _FETCH_SECONDS
            acquirer.timeout_period_on_update_event_data_call = _POLL_MS
            acquirer.start()
        except BaseException:
            acquirer.destroy()
            raise
        return acquirer

    def _create(self, serial: str) -> Any:
        from genicam.gentl import AccessDeniedException, ResourceInUseException

        self._search()
        found = [info for info in self._harvester.device_info_list if not serial or info.serial_number == serial]
        if len(found) != 1:
            what = f"with serial number {serial}" if serial else "(its address names no serial number)"
            raise LinkError(f"{len(found) or 'no'} camera{'s are' if len(found) > 1 else ' is'} found {what}")
        try:
            return self._harvester.create(found[0])
        except (AccessDeniedException, ResourceInUseException) as error:
            raise LinkError("another program uses it, or an earlier opening still hangs") from error

    def _search(self) -> None:
        """Look for cameras; without disturbing those that run."""
        if not self._loaded:
            self._harvester.add_file(str(self._file))
            self._loaded = True
        if self._running == 1:  # the one that is being opened
            self._harvester.update()
            return
        for interface in {id(info.parent): info.parent for info in self._harvester.device_info_list}.values():
            interface.module.update_device_info_list(_SEARCH_MS)


@cache
def producer_of(file: Path) -> Producer:
    """The producer of a file: one in this process, as the standard wants it."""
    return Producer(file)


def camera_opener(producer: Producer, serial: str, features: Features) -> Callable[[], Device]:
    """Opens a camera; an empty `serial` means the only one that is there."""

    def open_camera() -> Device:
        return GenicamCamera(producer, producer.open(serial, features))

    return open_camera


class GenicamCamera:
    """A camera that sends images."""

    def __init__(self, producer: Producer, acquirer: Any) -> None:
        self._producer, self._acquirer = producer, acquirer
        self._buffer: Any = None
        self._last_id: int | None = None
        self._lost = 0

    def grab(self) -> bool:
        """The next image; False when none came within a second. Incomplete ones are counted as lost by their ids."""
        self._give_back()
        self._buffer = self._acquirer.try_fetch(timeout=_FETCH_SECONDS)
        if self._buffer is None:
            return False
        number = int(self._buffer.module.frame_id)
        if self._last_id is not None and number > self._last_id:  # ids begin anew sooner or later
            self._lost += number - self._last_id - 1
        self._last_id = number
        return True

    def retrieve(self) -> Picture:
        """The image as RGB."""
        lost, self._lost = self._lost, 0
        return Picture(_picture(self._buffer.payload.components[0]), lost=lost)

    def close(self) -> None:
        """Let go of the camera."""
        try:
            self._give_back()
        finally:
            self._producer.close(self._acquirer)

    def _give_back(self) -> None:
        buffer, self._buffer = self._buffer, None
        if buffer is not None:
            buffer.queue()


def _set(nodes: Any, features: Features) -> None:
    from genicam.genapi import GenericException

    wanted: list[tuple[str, str]] = []
    if features.pixel_format is not None:
        wanted.append(("PixelFormat", features.pixel_format))
    if features.line is not None:
        wanted += [("TriggerSelector", "FrameStart"), ("TriggerMode", "On"), ("TriggerSource", features.line)]
    elif nodes.has_node("TriggerMode"):
        wanted.append(("TriggerMode", "Off"))
    for name, value in wanted:
        try:
            getattr(nodes, name).value = value
        except (GenericException, AttributeError) as error:
            raise LinkError(f"it does not take {name} = {value}; see the maker's list of its features") from error


def _picture(component: Any) -> NDArray[np.uint8]:
    """[h, w, 3] uint8 RGB of a component; copied, for its memory goes back to the camera."""
    kind = str(component.data_format)
    if kind not in FORMATS:
        raise LinkError(f"its pixel format is {kind}; set pixel_format to one of {', '.join(FORMATS)}")
    width, height = int(component.width), int(component.height)
    pixels = np.asarray(component.data, dtype=np.uint8).reshape(height, width, -1)
    if kind == "Mono8":
        return np.repeat(pixels, 3, axis=2)
    order = [2, 1, 0] if kind.startswith("BGR") else [0, 1, 2]
    return np.ascontiguousarray(pixels[:, :, order])
