"""What can befall a line of real pictures, with its right name: camera faults on one camera, changes of the parts on
both, another mix. Sizes are drawn; all are such that somebody would want to know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from benchmarks.drift.record import GOOD
from benchmarks.drift.spoiling import Pixels, Spoil, blur, crop, dirt, light
from monitor.rules.action import Kind
from trainer.dataset import Example

COUNTS = {
    "light": 40,
    "blur": 40,
    "dirt": 40,
    "crop": 40,
    "frozen": 40,
    "new-product": 30,
    "new-class": 30,
    "defect-rate": 40,
}
CAMERA = ("light", "blur", "dirt", "crop", "frozen")
RIGHT = dict.fromkeys(CAMERA, Kind.SENSOR) | {
    "new-product": Kind.PRODUCT,
    "new-class": Kind.PRODUCT,
    "defect-rate": Kind.PRIOR,
}

Generator = np.random.Generator
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Plight:
    """`examples` as the cameras now see them, each through its own spoiling where there is any, and what they truly
    are; `weights`: how often each comes; `both`: all cameras of the line see them."""

    examples: tuple[Example, ...]
    spoils: tuple[Spoil, ...] | None
    truth: tuple[str, ...]
    weights: Floats
    both: bool

    @classmethod
    def of(cls, examples: Sequence[Example], spoil: Spoil | None, *, both: bool) -> Plight:
        """All pictures alike."""
        spoils = None if spoil is None else (spoil,) * len(examples)
        even = np.full(len(examples), 1.0 / len(examples))
        return cls(tuple(examples), spoils, tuple(e.label for e in examples), even, both)


def plight(rng: Generator, kind: str, parts: Sequence[Example], strangers: Sequence[Example]) -> Plight:
    """One of `COUNTS` but `frozen`, on a line whose parts these are; `strangers` are of another make."""
    if kind == "defect-rate":
        return _more_defects(rng, parts)
    if kind == "new-product" and strangers:
        return Plight.of(strangers, None, both=True)
    if kind == "new-product":
        return Plight.of(parts, _turned, both=True)
    if kind == "new-class":
        return _scratched(rng, parts)
    return Plight.of(parts, _FAULTS[kind](rng), both=False)


def _more_defects(rng: Generator, parts: Sequence[Example]) -> Plight:
    """A share of parts with defects that is 15 to 35 points higher than before; they look as they always did."""
    bad = np.array([not _is_good(e) for e in parts])
    share = min(0.95, float(bad.mean() + rng.uniform(0.15, 0.35)))
    weights = np.where(bad, share / bad.sum(), (1.0 - share) / (~bad).sum())
    return replace(Plight.of(parts, None, both=True), weights=weights)


def _is_good(example: Example) -> bool:
    return example.label in GOOD


def _light(rng: Generator) -> Spoil:
    factor = float(np.exp(rng.choice([-1.0, 1.0]) * rng.uniform(-log(0.9), -log(0.65))))
    return lambda pixels: light(pixels, factor)


def _blur(rng: Generator) -> Spoil:
    share = float(rng.uniform(0.004, 0.012))
    return lambda pixels: blur(pixels, share)


def _dirt(rng: Generator) -> Spoil:
    seed, spots, opacity = int(rng.integers(1 << 31)), int(rng.integers(5, 26)), float(rng.uniform(0.4, 0.9))
    return lambda pixels: dirt(pixels, seed, spots, opacity)


def _crop(rng: Generator) -> Spoil:
    share, corner = float(rng.uniform(0.06, 0.2)), (float(rng.random()), float(rng.random()))
    return lambda pixels: crop(pixels, share, corner)


_FAULTS: dict[str, Callable[[Generator], Spoil]] = {"light": _light, "blur": _blur, "dirt": _dirt, "crop": _crop}


def _as_it_is(pixels: Pixels) -> Pixels:
    return pixels


def _turned(pixels: Pixels) -> Pixels:
    """Another format: the same surface, lying across."""
    return np.ascontiguousarray(np.rot90(pixels))


def _scratched(rng: Generator, parts: Sequence[Example]) -> Plight:
    """A class that the network was never shown: 30 to 60 % of the parts have a scratch, each its own, of one tone."""
    share, tone = float(rng.uniform(0.3, 0.6)), int(rng.choice([10, 245]))
    width = float(rng.uniform(0.01, 0.02))
    has = rng.random(len(parts)) < share
    spoils = tuple(_scratch(rng.random((2, 2)), tone, width) if scratched else _as_it_is for scratched in has)
    truth = tuple("scratch" if scratched else e.label for scratched, e in zip(has, parts, strict=True))
    return replace(Plight.of(parts, None, both=True), spoils=spoils, truth=truth)


def _scratch(ends: NDArray[np.floating[Any]], tone: int, width: float) -> Spoil:
    def spoil(pixels: Pixels) -> Pixels:
        picture = Image.fromarray(pixels)
        size = np.array(picture.size, float)
        line = [tuple(point) for point in (ends * size).tolist()]
        ImageDraw.Draw(picture).line(line, fill=(tone, tone, tone), width=max(1, round(width * min(picture.size))))
        return np.asarray(picture)

    return spoil
