"""The last few verdicts with small pictures, for the operator's page. In memory only."""

from __future__ import annotations

import io
import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from contracts.frame import Verdict

_SIDE = 224  # pixels of a thumbnail, at most


@dataclass(frozen=True)
class Glance:
    """One verdict and its picture, [h, w, 3] uint8 of at most 224 px a side; None where there was none."""

    number: int
    verdict: Verdict
    picture: NDArray[np.uint8] | None

    def jpeg(self) -> bytes | None:
        """The picture as a JPEG file."""
        if self.picture is None:
            return None
        file = io.BytesIO()
        Image.fromarray(self.picture).save(file, "JPEG", quality=88)
        return file.getvalue()


class Recent:
    """A short memory of verdicts; thread-safe."""

    def __init__(self, length: int = 24) -> None:
        self._glances: deque[Glance] = deque(maxlen=length)
        self._lock = threading.Lock()
        self._number = 0

    def add(self, verdict: Verdict, pixels: NDArray[np.uint8] | None) -> None:
        """Remember a verdict; the pixels are thinned out, not copied whole."""
        picture = None if pixels is None else _thin(pixels)
        with self._lock:
            self._number += 1
            self._glances.appendleft(Glance(self._number, verdict, picture))

    def newest(self, limit: int) -> list[Glance]:
        """Newest first."""
        with self._lock:
            return list(self._glances)[:limit]

    def find(self, number: int) -> Glance | None:
        """The glance of that number while it is remembered."""
        with self._lock:
            return next((glance for glance in self._glances if glance.number == number), None)


def _thin(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    step = -(-max(pixels.shape[:2]) // _SIDE)
    return np.ascontiguousarray(pixels[::step, ::step])
