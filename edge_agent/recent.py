"""The last few verdicts with small pictures, for the operator's page. In memory only."""

from __future__ import annotations

import io
import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from contracts.frame import Decision, Verdict
from contracts.tasks import PixelBox
from edge_agent.trend import Trend

Scalar = TypeVar("Scalar", bound=np.generic)

_SIDE = 320  # pixels of a picture, at most
_WARM, _DENSEST = (255, 64, 0), 190  # colour of the heat, and its opacity where a defect is certain


@dataclass
class Glance:
    """One verdict, its picture [h, w, 3] uint8 of at most 320 px a side (None where there was none), what somebody has
    said the part is (None so far), and of a model that tells where a defect lies its `heat` [rows, columns] 0..1 and
    the `box`: left, top, width and height in shares of the image."""

    number: int
    verdict: Verdict
    picture: NDArray[np.uint8] | None
    said: str | None = None
    heat: NDArray[np.float32] | None = None
    box: tuple[float, float, float, float] | None = None

    def jpeg(self) -> bytes | None:
        """The picture as a JPEG file."""
        if self.picture is None:
            return None
        file = io.BytesIO()
        Image.fromarray(self.picture).save(file, "JPEG", quality=88)
        return file.getvalue()

    def heat_png(self) -> bytes | None:
        """The heat as a translucent picture of the image's shape."""
        if self.heat is None:
            return None
        warm = np.zeros((*self.heat.shape, 4), dtype=np.uint8)
        warm[:, :, :3] = _WARM
        warm[:, :, 3] = np.rint(self.heat * _DENSEST)
        file = io.BytesIO()
        Image.fromarray(warm).save(file, "PNG")
        return file.getvalue()


class Recent:
    """A short memory of verdicts; thread-safe. Those that are not OK are remembered longer."""

    def __init__(self, length: int = 48) -> None:
        self._all: deque[Glance] = deque(maxlen=length)
        self._not_ok: deque[Glance] = deque(maxlen=length)
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._number = 0
        self.trend = Trend()

    def add(
        self,
        verdict: Verdict,
        pixels: NDArray[np.uint8] | None,
        visible: NDArray[np.bool_] | None = None,
        *,
        heat: NDArray[np.float32] | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Remember a verdict; the pixels are thinned out, and black where they are not `visible`.
        `size`: width and height of the source image, which the verdict's box is in pixels of."""
        picture = None if pixels is None else _thin(pixels)
        if picture is not None and visible is not None:
            picture = picture * _thin(visible)[:, :, np.newaxis]
        self.trend.add(verdict.decision)
        with self._lock:
            self._number += 1
            self._counts[verdict.decision.value] += 1
            glance = Glance(self._number, verdict, picture, heat=heat, box=_shares(verdict.box, size))
            self._all.appendleft(glance)
            if verdict.decision is not Decision.OK:
                self._not_ok.appendleft(glance)

    def newest(self, limit: int, *, not_ok: bool = False) -> list[Glance]:
        """Newest first."""
        with self._lock:
            return list(self._not_ok if not_ok else self._all)[:limit]

    def newest_number(self) -> int:
        """Number of the newest verdict; 0 before the first."""
        with self._lock:
            return self._number

    def find(self, number: int) -> Glance | None:
        """The glance of that number while it is remembered."""
        with self._lock:
            return next((glance for glance in (*self._all, *self._not_ok) if glance.number == number), None)

    def note(self, part_id: str, label: str) -> None:
        """Somebody said what a part is."""
        with self._lock:
            for glance in (*self._all, *self._not_ok):
                if glance.verdict.frame.part_id == part_id:
                    glance.said = label

    def counts(self) -> dict[str, int]:
        """Verdicts since the start, by decision."""
        with self._lock:
            return dict(self._counts)


def _shares(box: PixelBox | None, size: tuple[int, int] | None) -> tuple[float, float, float, float] | None:
    """Left, top, width and height of a box, in shares of an image of this width and height."""
    if box is None or size is None:
        return None
    return box[0] / size[0], box[1] / size[1], (box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1]


def _thin(values: NDArray[Scalar]) -> NDArray[Scalar]:
    """Every so many rows and columns of [h, w] or [h, w, 3]; the same array where that is all of them."""
    step = -(-max(values.shape[:2]) // _SIDE)
    if step == 1:
        return values
    if values.ndim == 2 or not values.flags.c_contiguous:
        return values[::step, ::step].copy()
    pixel = np.dtype((np.void, values.dtype.itemsize * values.shape[2]))  # whole pixels are copied twice as fast
    thinned = values.view(pixel)[::step, ::step, 0].copy()
    return thinned.view(values.dtype).reshape(*thinned.shape, values.shape[2])
