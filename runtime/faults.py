"""Camera faults that stay while parts pass by, computed on pictures beforehand, to know them when they come.

They are not the faults of `trainer.evaluation.faults`, which differ from image to image and tell how robust a network
is: here each stays the same for all pictures, and grows. Sizes are shares of the picture's shorter side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Pixels = NDArray[np.uint8]  # [h, w, 3]
Spoil = Callable[[Pixels], Pixels]

_GAINS = ((0.93, 0.82, 0.68, 0.5), (1.08, 1.22, 1.5, 2.0))
_GAMMAS = ((1.1, 1.3, 1.6), (0.9, 0.77, 0.62))
_BLURS = (0.0015, 0.003, 0.006, 0.011)
_OPACITIES = (0.25, 0.5, 0.85)
_SMEARS = (
    (4, 0.1),
    (7, 0.1),
    (12, 0.1),
    (20, 0.1),
    (7, 0.25),
    (12, 0.25),
    (20, 0.25),
    (12, 0.04),
    (20, 0.04),
    (30, 0.1),
)
_CLOUDS = ((3, 0.35), (3, 0.35), (5, 0.25), (5, 0.25))
_CORNERS = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5))
_CUTS = (0.05, 0.11, 0.2)
_WAYS = ((0, 1), (1, 0), (0, -1), (-1, 0))
_MOVES = (0.05, 0.12)
_TURNS = ((1.5, 4.0), (-1.5, -4.0))


@dataclass(frozen=True)
class Growing:
    """One fault at growing strengths; `family` is one of `contracts.signatures.FAMILIES`."""

    family: str
    spoils: tuple[Spoil, ...]


def growing(*, resizing: bool) -> Iterator[Growing]:
    """Every fault that signatures are made of; those that change the picture's size too where `resizing`."""
    for gains in _GAINS:
        yield Growing("light", tuple(partial(light, gain=gain) for gain in gains))
    for gammas in _GAMMAS:
        yield Growing("light", tuple(partial(light, gamma=gamma) for gamma in gammas))
    yield Growing("focus", tuple(partial(focus, share=share) for share in _BLURS))
    for seed, (grain, cover) in enumerate((*_SMEARS, *_CLOUDS)):
        stain = partial(dirt, seed=seed, grain=grain, cover=cover, soft=1.0 if seed >= len(_SMEARS) else 0.5)
        yield Growing("dirt", tuple(partial(stain, opacity=opacity) for opacity in _OPACITIES))
    for corner in _CORNERS:
        for zoomed in (False, True) if resizing else (True,):
            yield Growing("setup", tuple(partial(cut, share=share, corner=corner, zoomed=zoomed) for share in _CUTS))
    for down, right in _WAYS:
        yield Growing("setup", tuple(partial(move, down=share * down, right=share * right) for share in _MOVES))
    for degrees in _TURNS:
        yield Growing("setup", tuple(partial(turn, degrees=each) for each in degrees))


def light(pixels: Pixels, *, gain: float = 1.0, gamma: float = 1.0) -> Pixels:
    """Another lamp, exposure or amplifier.

    >>> light(np.full((1, 1, 3), 100, np.uint8), gain=1.5)[0, 0].tolist()
    [150, 150, 150]
    """
    levels = np.arange(256) / 255.0
    return np.clip(255.0 * (gain * levels) ** gamma + 0.5, 0, 255).astype(np.uint8)[pixels]


def focus(pixels: Pixels, *, share: float) -> Pixels:
    """Out of focus: what is a point spreads over about four times the share."""
    box = ImageFilter.BoxBlur(share * min(pixels.shape[:2]))
    return np.asarray(Image.fromarray(pixels).filter(box).filter(box))


def dirt(pixels: Pixels, *, seed: int, grain: int, cover: float, soft: float, opacity: float) -> Pixels:
    """Seen through smears on `cover` of the glass, of which about `grain` fit beside each other; `opacity` of the light
    is lost where they are thickest. With `soft` at 1 only their middle is so thick, below it more of them."""
    clear = 1.0 - opacity * _smears(pixels.shape[0], pixels.shape[1], seed, grain, cover, soft)
    return (pixels * clear[:, :, np.newaxis] + np.float32(0.5)).astype(np.uint8)


@lru_cache(maxsize=1)  # one smear at all its opacities; more would be as many floats for each pixel
def _smears(height: int, width: int, seed: int, grain: int, cover: float, soft: float) -> NDArray[np.float32]:
    """[h, w] 0..1: the highest hills of a smooth random landscape."""
    foot, top = _heights(height, width, seed, grain, cover)
    steep = soft * (top - foot) + 1e-6
    return np.asarray(np.clip((_hills(height, width, seed, grain) - foot) / steep, 0.0, 1.0), np.float32)


@lru_cache(maxsize=64)
def _heights(height: int, width: int, seed: int, grain: int, cover: float) -> tuple[np.float32, np.float32]:
    """Above which the landscape is a smear, and the highest; to find them takes longer than to draw it."""
    hills = _hills(height, width, seed, grain)
    return np.float32(np.quantile(hills, 1.0 - cover)), np.float32(hills.max())


def _hills(height: int, width: int, seed: int, grain: int) -> NDArray[np.float32]:
    side = min(height, width)
    cells = max(2, round(grain * height / side)), max(2, round(grain * width / side))
    coarse = np.random.default_rng(seed).random(cells, np.float32)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def cut(pixels: Pixels, *, share: float, corner: tuple[float, float], zoomed: bool) -> Pixels:
    """Less is seen: `share` of height and width is cut off, all at the other end where `corner` (down, right) is 0;
    `zoomed`: through the lens, so that the picture's size stays."""
    height, width = pixels.shape[:2]
    rows, columns = int(height * (1.0 - share)), int(width * (1.0 - share))
    top, left = int((height - rows) * corner[0]), int((width - columns) * corner[1])
    seen = np.ascontiguousarray(pixels[top : top + rows, left : left + columns])
    if not zoomed:
        return seen
    return np.asarray(Image.fromarray(seen).resize((width, height), Image.Resampling.BILINEAR))


def move(pixels: Pixels, *, down: float, right: float) -> Pixels:
    """Another place is seen: what comes into sight repeats, mirrored, what was at the edge."""
    height, width = pixels.shape[:2]
    y, x = round(down * height), round(right * width)
    wide = np.pad(pixels, ((abs(y), abs(y)), (abs(x), abs(x)), (0, 0)), mode="reflect")
    return np.ascontiguousarray(wide[abs(y) + y : abs(y) + y + height, abs(x) + x : abs(x) + x + width])


def turn(pixels: Pixels, *, degrees: float) -> Pixels:
    """Twisted in its mount; what comes into sight repeats, mirrored, what was at the edge."""
    height, width = pixels.shape[:2]
    down, right = height // 5, width // 5
    wide = Image.fromarray(np.pad(pixels, ((down, down), (right, right), (0, 0)), mode="reflect"))
    turned = wide.rotate(degrees, Image.Resampling.BILINEAR)
    return np.asarray(turned.crop((right, down, right + width, down + height)))
