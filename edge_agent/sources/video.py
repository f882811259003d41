"""Network cameras (RTSP), USB cameras and video files through OpenCV, which is loaded only where one is configured."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.errors import ConfigurationError, LinkError
from edge_agent.sources.address import Address, with_credentials
from edge_agent.sources.device import Device, Ended, Picture


def load_opencv() -> Any:
    """The module `cv2`, told to be quiet and to leave the other cores alone. Raises ConfigurationError where it is
    missing."""
    try:
        import cv2
    except ImportError as error:
        raise ConfigurationError(
            f"network cameras, USB cameras and video files need OpenCV, which does not load ({error}); install it with "
            "pip install -c constraints.txt '.[video]'"
        ) from error
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    cv2.setNumThreads(1)
    return cv2


def stream_opener(
    address: Address, *, credentials: tuple[str, str] | None, silent_seconds: float
) -> Callable[[], Device]:
    """Opens a network camera. `credentials`: user and password."""
    cv2 = load_opencv()
    url = address.target if credentials is None else with_credentials(address.target, *credentials)
    limit = max(1, int(1000 * silent_seconds))
    options = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit]

    def open_stream() -> Device:
        return Camera(_opened(cv2, url, cv2.CAP_FFMPEG, options))

    return open_stream


def usb_opener(address: Address, *, width: int | None, height: int | None) -> Callable[[], Device]:
    """Opens a USB camera; `width` and `height` in pixels where it shall not choose them."""
    cv2 = load_opencv()
    target: str | int = int(address.target) if address.target.isdigit() else address.target
    options: list[int] = []
    if width is not None and height is not None:
        options = [cv2.CAP_PROP_FRAME_WIDTH, width, cv2.CAP_PROP_FRAME_HEIGHT, height]

    def open_usb() -> Device:
        return Camera(_opened(cv2, target, cv2.CAP_V4L2, options))

    return open_usb


def file_opener(address: Address, *, again: bool) -> Callable[[], Device]:
    """Opens a video file. Its frames have a name for ever; played `again` and again, they are new each time."""
    cv2 = load_opencv()
    path = Path(address.target).absolute()

    def open_file() -> Device:
        try:
            found = path.stat()
        except OSError as error:
            raise LinkError(f"it cannot be read ({error.strerror})") from error
        name = f"{path}:{found.st_mtime_ns}:{found.st_size}" + (f":{time.time_ns()}" if again else "")
        return VideoFile(_opened(cv2, str(path), cv2.CAP_FFMPEG, []), name)

    return open_file


class Camera:
    """A camera that OpenCV reads."""

    def __init__(self, capture: Any) -> None:
        self._capture = capture

    def grab(self) -> bool:
        """The next frame. Raises LinkError where none comes: OpenCV then says no more than that."""
        if not self._capture.grab():
            raise LinkError("no more frames come from it")
        return True

    def retrieve(self) -> Picture:
        """The frame as RGB."""
        return Picture(_picture(self._capture))

    def close(self) -> None:
        """Let go of the camera."""
        self._capture.release()


class VideoFile:
    """A video file, frame by frame. `name`: of this version of the file."""

    def __init__(self, capture: Any, name: str) -> None:
        self._capture, self._name, self._frames = capture, name, 0

    def grab(self) -> bool:
        """The next frame. Raises Ended after the last; OpenCV cannot tell a damaged end from an end."""
        if not self._capture.grab():
            raise Ended
        self._frames += 1
        return True

    def retrieve(self) -> Picture:
        """The frame as RGB."""
        return Picture(_picture(self._capture), reference=f"{self._name}:{self._frames}")

    def close(self) -> None:
        """Let go of the file."""
        self._capture.release()


def _opened(cv2: Any, target: str | int, backend: int, options: list[int]) -> Any:
    try:
        capture = cv2.VideoCapture(target, backend, options)
    except cv2.error as error:
        raise LinkError("OpenCV cannot open it") from error
    if not capture.isOpened():
        capture.release()
        raise LinkError("it cannot be opened")
    return capture


def _picture(capture: Any) -> NDArray[np.uint8]:
    """[h, w, 3] uint8 RGB of the frame that was grabbed."""
    found, image = capture.retrieve()
    if not found or image is None or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise LinkError("a frame of it cannot be decoded")
    return np.ascontiguousarray(image[:, :, ::-1])
