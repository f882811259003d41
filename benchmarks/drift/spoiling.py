"""Camera faults planted on real pictures: dirt on the glass, focus lost, a lamp that changes, a camera that moved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Pixels = NDArray[np.uint8]  # [h, w, 3]
Spoil = Callable[[Pixels], Pixels]

STRENGTHS = ("slight", "clear", "strong")
_LIGHT = {"slight": 0.95, "clear": 0.85, "strong": 0.7}
_BLUR = {"slight": 0.0025, "clear": 0.005, "strong": 0.01}
_SPOTS = {"slight": 3, "clear": 8, "strong": 20}
_CROP = {"slight": 0.03, "clear": 0.08, "strong": 0.2}
FAULTS = ("light", "blur", "dirt", "crop")


def planted(fault: str, strength: str, seed: int = 0) -> Spoil:
    """One of `FAULTS` at one of `STRENGTHS`, fixed for good: it stays where it is while parts pass by."""
    if fault == "light":
        return lambda pixels: light(pixels, _LIGHT[strength])
    if fault == "blur":
        return lambda pixels: blur(pixels, _BLUR[strength])
    if fault == "dirt":
        return lambda pixels: dirt(pixels, seed, _SPOTS[strength], 0.6)
    return lambda pixels: crop(pixels, _CROP[strength], (0.0, 0.0))


def light(pixels: Pixels, factor: float) -> Pixels:
    """Another amount of light: every pixel times a factor."""
    return np.asarray(np.clip(pixels.astype(np.float32) * np.float32(factor), 0, 255), np.uint8)


def blur(pixels: Pixels, share: float) -> Pixels:
    """Out of focus: a Gaussian whose radius is a share of the shorter side."""
    radius = share * min(pixels.shape[:2])
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def dirt(pixels: Pixels, seed: int, spots: int, opacity: float) -> Pixels:
    """Seen through soft dark spots, each 2 to 6 % of the shorter side in radius, that take `opacity` of the light."""
    height, width = pixels.shape[:2]
    clear: NDArray[np.floating[Any]] = 1.0 - opacity * (1.0 - _clear(height, width, seed, spots))
    return (pixels * clear[:, :, None]).astype(np.uint8)


def _clear(height: int, width: int, seed: int, spots: int) -> NDArray[np.floating[Any]]:
    """[h, w] 0..1: what no spot covers."""
    rng = np.random.default_rng(seed)
    y, x = np.ogrid[:height, :width]
    clear = np.ones((height, width), np.float32)
    for _ in range(spots):
        cy, cx, radius = rng.uniform(0.05, 0.95) * height, rng.uniform(0.05, 0.95) * width, rng.uniform(0.02, 0.06)
        far = ((y - cy) ** 2 + (x - cx) ** 2) / (radius * min(height, width)) ** 2
        clear *= 1.0 - np.exp(-(far.astype(np.float32) ** 2))
    return clear


def crop(pixels: Pixels, share: float, corner: tuple[float, float]) -> Pixels:
    """The camera moved: only (1 - share) of height and width is seen, taken off where `corner` (0..1 down, right)
    says."""
    height, width = pixels.shape[:2]
    down, right = int(share * height * (1.0 - corner[0])), int(share * width * (1.0 - corner[1]))
    return np.ascontiguousarray(
        pixels[down : down + int((1.0 - share) * height), right : right + int((1.0 - share) * width)]
    )
