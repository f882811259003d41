"""What is measured of every image, once: size, light, sharpness, and a hash of what it looks like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from runtime.preprocessing import decode_plain
from trainer.dataset import Example

_FULL_SIZE = 4096
_MEASURED_PX = 256  # longer side: sharpness is compared at one size
_HASH_SIDE = 16  # 256 bits


@dataclass(frozen=True, slots=True)
class Measured:
    """One image. `light` and `contrast` are mean and standard deviation of the grey values, 0..1; `sharpness` is the
    standard deviation of the Laplacian at 256 pixels; `dark` and `burnt` the shares of pixels at either end; `looks`
    [256] bool the perceptual hash (DCT: Zauner, 2010)."""

    example: Example
    width: int
    height: int
    light: float
    contrast: float
    sharpness: float
    dark: float
    burnt: float
    looks: NDArray[np.bool_]


def survey(examples: Sequence[Example], tick: Callable[[float], None] = lambda _: None) -> tuple[Measured, ...]:
    """All of them, in order."""
    found = []
    for number, example in enumerate(examples, start=1):
        found.append(measure(example))
        tick(number / len(examples))
    return tuple(found)


def measure(example: Example) -> Measured:
    """Decode and measure one image that is known to be readable."""
    picture = Image.fromarray(decode_plain(example.path.read_bytes(), _FULL_SIZE)).convert("L")
    width, height = picture.size
    looks = imagehash.phash(picture, hash_size=_HASH_SIDE).hash.ravel()
    picture.thumbnail((_MEASURED_PX, _MEASURED_PX))
    grey = np.asarray(picture, dtype=np.float32) / 255.0  # [h, w]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return Measured(
        example,
        width,
        height,
        light=float(grey.mean()),
        contrast=float(grey.std()),
        sharpness=float((around - 4 * grey[1:-1, 1:-1]).std()),
        dark=float((grey <= 2 / 255).mean()),
        burnt=float((grey >= 253 / 255).mean()),
        looks=looks,
    )
