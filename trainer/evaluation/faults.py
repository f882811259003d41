"""What a camera and its surroundings do to an image, in three strengths; none of it changes what the part is."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

Pixels = NDArray[np.uint8]  # [h, w, 3]
Fault = Callable[[Image.Image, float, np.random.Generator], Image.Image]


def befall(image: Pixels, fault: str, severity: int, *, seed: int = 0) -> Pixels:
    """The image [h, w, 3] under one of `FAULTS`; severity 1 (just visible) to 3 (strong), the same seed the same."""
    make, strengths = FAULTS[fault]
    found = make(Image.fromarray(image), strengths[severity - 1], np.random.default_rng(seed))
    return np.asarray(found.convert("RGB"), dtype=np.uint8)


def _brightness(image: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(1 + strength * rng.choice([-1.0, 1.0]))


def _contrast(image: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    return ImageEnhance.Contrast(image).enhance(1 - strength)


def _blur(image: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(strength * max(image.size) / 224))


def _noise(image: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    grey = rng.normal(0, 255 * strength, (image.height, image.width, 1))
    return Image.fromarray(np.clip(np.asarray(image, dtype=np.float64) + grey, 0, 255).astype(np.uint8))


def _dirt(image: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    """A few soft dark specks on the glass."""
    rows, columns = np.mgrid[0 : image.height, 0 : image.width]
    side, light = max(image.size), np.ones((image.height, image.width))
    for _ in range(4):
        y, x = rng.uniform(0, image.height), rng.uniform(0, image.width)
        radius = rng.uniform(0.03, 0.08) * side
        light -= strength * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * radius**2))
    dimmed = np.asarray(image, dtype=np.float64) * np.clip(light, 0, 1)[..., None]
    return Image.fromarray(dimmed.astype(np.uint8))


def _rotation(image: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    """Turned by some degrees, edges repeated rather than black."""
    angle = strength * rng.choice([-1.0, 1.0])
    margin = max(image.size) // 4
    padded = np.pad(np.asarray(image), ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    turned = Image.fromarray(padded).rotate(angle, Image.Resampling.BILINEAR)
    return turned.crop((margin, margin, margin + image.width, margin + image.height))


def _jpeg(image: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=int(strength))
    return Image.open(data)


FAULTS: dict[str, tuple[Fault, tuple[float, float, float]]] = {
    "brightness": (_brightness, (0.15, 0.3, 0.5)),
    "contrast": (_contrast, (0.2, 0.4, 0.6)),
    "blur": (_blur, (0.8, 1.6, 3.0)),
    "noise": (_noise, (0.03, 0.07, 0.14)),
    "dirt": (_dirt, (0.2, 0.4, 0.7)),
    "rotation": (_rotation, (2.0, 5.0, 10.0)),
    "jpeg": (_jpeg, (50.0, 25.0, 10.0)),
}
