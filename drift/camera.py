"""Hard rules for a camera that does not see: dead, frozen, black, saturated, covered or out of focus.

They tell it within seconds and need no profile and no network. All but the last hold from the first frame on; `focus`
says what the last requires.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from drift.focus import Focus, Structure, structure


class CameraFault(StrEnum):
    """Why a camera's pictures cannot be trusted."""

    DEAD = "dead"
    FROZEN = "frozen"
    BLACK = "black"
    SATURATED = "saturated"
    COVERED = "covered"
    OUT_OF_FOCUS = "out-of-focus"


@dataclass(frozen=True)
class Look:
    """What one picture shows of its camera, without those before it."""

    fingerprint: int
    fault: CameraFault | None
    """Black, saturated or covered."""
    structure: Structure | None
    """For the focus; None where that is not watched."""


class CameraHealth:
    """Watches one camera. `update` for every frame, `check` now and then for the frames that do not come. `update` is
    `look`, which may be asked for several pictures at once, and then `follow`, in the order of the frames.

    A fault is believed after `frames` bad frames in a row, and forgotten after as many good ones. `silent_after` is
    None for sources that have no pace of their own (a watched folder); without `focus` the focus is not watched.
    """

    def __init__(
        self,
        *,
        frames: int = 5,
        frozen_frames: int = 10,
        silent_after: timedelta | None = None,
        focus: Focus | None = None,
    ) -> None:
        self.fault: CameraFault | None = None
        self._focus = focus
        self._frames, self._frozen_frames, self._silent_after = frames, frozen_frames, silent_after
        self._suspected: CameraFault | None = None
        self._suspected_frames = 0
        self._fingerprint: int | None = None
        self._same_frames = 0
        self._last_seen: datetime | None = None

    def update(self, image: NDArray[np.uint8], moment: datetime, product: str = "") -> CameraFault | None:
        """The fault that holds after this frame [h, w, 3] or [h, w] of a product; None when the camera sees."""
        return self.follow(self.look(image), moment, product)

    def look(self, image: NDArray[np.uint8]) -> Look:
        """At one picture [h, w, 3] or [h, w]; changes nothing here."""
        pixels = np.ascontiguousarray(image[:: max(image.shape[0] // 64, 1), :: max(image.shape[1] // 64, 1)])
        fault = _fault(pixels)
        watched = fault is None and self._focus is not None
        return Look(crc32(pixels.data), fault, structure(image) if watched else None)

    def follow(self, look: Look, moment: datetime, product: str = "") -> CameraFault | None:
        """The fault that holds after the frame that was looked at."""
        self._last_seen = moment
        seen = CameraFault.FROZEN if self._repeats(look.fingerprint) else look.fault
        if seen is None and self._focus is not None and self._focus.update(look.structure, product):
            seen = CameraFault.OUT_OF_FOCUS
        if seen == self._suspected:
            self._suspected_frames += 1
        else:
            self._suspected, self._suspected_frames = seen, 1
        if self._suspected_frames >= self._frames or seen in (CameraFault.FROZEN, CameraFault.OUT_OF_FOCUS):
            self.fault = self._suspected
        return self.fault

    def check(self, moment: datetime) -> CameraFault | None:
        """The fault that holds at `moment` although no frame came: DEAD after `silent_after` without one."""
        if self._silent_after and self._last_seen and moment - self._last_seen > self._silent_after:
            self.fault = CameraFault.DEAD
        return self.fault

    def _repeats(self, fingerprint: int) -> bool:
        """A living sensor has noise: the same bytes over many frames come from a picture that stands still."""
        self._same_frames = self._same_frames + 1 if fingerprint == self._fingerprint else 1
        self._fingerprint = fingerprint
        return self._same_frames >= self._frozen_frames


def _fault(pixels: NDArray[np.uint8]) -> CameraFault | None:
    """The levels count that a hundredth of all values lie beyond. Where as many of an eighth of them do, which most
    pictures have, the others need not be looked at."""
    values, beyond = pixels.ravel(), 0.01 * pixels.size
    return _told(*_range(values[::8], beyond)) and _told(*_range(values, beyond))


def _told(low: int, high: int) -> CameraFault | None:
    if high <= 8:
        return CameraFault.BLACK
    if low >= 247:
        return CameraFault.SATURATED
    return CameraFault.COVERED if high - low <= 4 else None


def _range(values: NDArray[np.uint8], beyond: float) -> tuple[int, int]:
    """The levels, 0..255, that so many values do not exceed, and that all but so many do not."""
    counted = np.bincount(values, minlength=256).cumsum()
    low, high = counted.searchsorted((beyond, values.size - beyond))
    return int(low), int(high)
