"""Out of focus: fine detail is gone while coarse structure stayed, against what this camera showed of this product.

Detail is the spread of brightness differences between pixels 1, 2 and 4 columns apart; structure the same 8 times as
far apart. Bad focus takes detail and leaves structure. Light changes both by one factor; a plain product or an empty
belt has neither, and a shadow adds structure without taking detail: none of the three is bad focus. A film of grease
over the whole lens is told as bad focus. Noise is added behind the lens, so what is plain but for noise looks the same
in any focus, and the rule is silent there; so it is where the picture is softer than the blur to be found.

It requires 100 pictures of the product, more than 64 pixels wide, taken while the camera was in focus: one that is out
of focus from its first picture on is not found. The mean of the last five pictures counts.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

FRAMES = 5
REFERENCE_FRAMES = 100
_FINE = (1, 2, 4)  # columns
_FAR = 8  # times as many
_ROWS = 32  # looked at, at most
_NOISE = 0.5  # squared levels, 0..255: rounding and a quiet sensor
_LOST = 0.25  # logarithm: 22 % of the detail
_SURE = 5.0  # standard deviations of the means of five pictures
_HALF = 0.7  # logarithm

Floats = NDArray[np.floating[Any]]
Three = tuple[float, float, float]
Six = Sequence[float]  # plain numbers: what they need costs an image a tenth of what NumPy does for so few


@dataclass(frozen=True)
class Structure:
    """Of one picture, `width` pixels wide: logarithms of how much its level (0..255, of the middle channel) differs
    1, 2, 4 and 8, 16, 32 columns apart."""

    width: int
    logarithms: Six


def structure(image: NDArray[np.uint8]) -> Structure | None:
    """Of a picture [h, w, 3] or [h, w]; None where it is too narrow."""
    if image.shape[1] <= 2 * _FAR * _FINE[-1]:
        return None
    rows = image[:: max(image.shape[0] // _ROWS, 1)]
    level = (rows if rows.ndim == 2 else rows[:, :, rows.shape[2] // 2]).astype(np.float32)
    fine, coarse = ([_detail(level, times * step) for step in _FINE] for times in (1, _FAR))
    return Structure(image.shape[1], (*fine, *coarse))


def _detail(level: NDArray[np.float32], apart: int) -> float:
    steps = (level[:, apart:] - level[:, :-apart]).ravel()
    return 0.5 * math.log(float(steps @ steps) / steps.size + _NOISE)


class FocusReference(BaseModel):
    """Of one camera and product in focus: means of `structure`, and how low detail against structure may fall."""

    model_config = ConfigDict(frozen=True)

    fine: Three
    coarse: Three
    least: Three

    @classmethod
    def of(cls, seen: Floats) -> FocusReference:
        """From `structure` [n, 2, 3] of n >= 10 pictures in their order. Neighbouring pictures may show the same part,
        so the spread is that of the means of five, never less than if the pictures were independent."""
        ratio = seen[:, 0] - seen[:, 1]  # [n, 3]
        blocks = ratio[: len(ratio) // FRAMES * FRAMES].reshape(-1, FRAMES, 3).mean(axis=1)
        spread = np.maximum(blocks.std(axis=0, ddof=1), ratio.std(axis=0, ddof=1) / np.sqrt(FRAMES))
        least = ratio.mean(axis=0) - np.maximum(_LOST, _SURE * spread)
        fine, coarse = seen.mean(axis=0)
        return cls(fine=fine.tolist(), coarse=coarse.tolist(), least=least.tolist())

    def blurred(self, mean: Six) -> bool:
        """Whether the mean `structure` of five pictures is that of a camera out of focus."""
        known = zip(mean[:3], mean[3:], self.fine, self.coarse, self.least, strict=True)
        return any(
            fine - coarse < least and fine < sharp - _LOST and coarse > usual - _HALF
            for fine, coarse, sharp, usual, least in known
        )


class Focus:
    """Watches the focus of one camera. `references` holds what it learned and may outlive it; its keys are product and
    octave of the width, since a picture decoded at half its size shows other detail."""

    def __init__(self, references: MutableMapping[str, FocusReference] | None = None) -> None:
        self._references = {} if references is None else references
        self._learning: dict[str, list[Six]] = {}
        self._recent: dict[str, deque[Six]] = {}

    def update(self, seen: Structure | None, product: str) -> bool:
        """Whether the camera is out of focus after this picture without another fault; None tells nothing."""
        if seen is None:
            return False
        key = f"{product}/{seen.width.bit_length()}"
        reference = self._references.get(key)
        if reference is None:
            self._learn(seen.logarithms, key)
            return False
        recent = self._recent.setdefault(key, deque(maxlen=FRAMES))
        recent.append(seen.logarithms)
        return len(recent) == FRAMES and reference.blurred([sum(each) / FRAMES for each in zip(*recent, strict=True)])

    def _learn(self, seen: Six, key: str) -> None:
        rows = self._learning.setdefault(key, [])
        rows.append(seen)
        if len(rows) == REFERENCE_FRAMES:
            self._references[key] = FocusReference.of(np.array(rows).reshape(-1, 2, 3))
            del self._learning[key]
