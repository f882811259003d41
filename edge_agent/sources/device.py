"""What a camera's library has to offer to be read and supervised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Ended(Exception):
    """A video file has been read to its end: nothing is wrong."""


@dataclass(frozen=True)
class Picture:
    """One picture: [h, w, 3] uint8 RGB. `reference` is its name for ever where it can be read again (a file's frame);
    `lost` pictures went missing just before it, as far as the device knows."""

    image: NDArray[np.uint8]
    reference: str | None = None
    lost: int = 0


class Device(Protocol):
    """One opened device, used by one thread. Every method raises LinkError where the device has failed."""

    def grab(self) -> bool:
        """Take the next frame off the device; False when none came for now. Must return within some seconds, or the
        device counts as hung. Raises Ended after the last frame of a file."""
        ...

    def retrieve(self) -> Picture:
        """The frame that `grab` took; only called for frames that somebody wants."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...
