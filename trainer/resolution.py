"""Pixels of a defect on the image -> pixels in the network's input: enough of them, or a grid of tiles that has."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from contracts.errors import ConfigurationError, DatasetError
from contracts.preprocessing import Preprocessing, Tiles
from runtime.preprocessing import windows
from trainer.dataset import Example
from trainer.marks import boxes_of, size_of

NEEDED = 8.0
"""Pixels of the network's input that a defect should cover in each direction."""

_MOST = 64  # tiles of an image
_SMALL = 10  # percentile of the marked defects that counts as the smallest
_LOOKED_AT = 50  # images


def smallest_marked(examples: Sequence[Example]) -> float | None:
    """Side, in pixels of the image, of a defect that nine tenths of the marked ones exceed (a square of its area); None
    where nothing is marked. Raises DatasetError."""
    sides = [math.sqrt((box[2] - box[0]) * (box[3] - box[1])) for example in examples for box in boxes_of(example)]
    return float(np.percentile(sides, _SMALL)) if sides else None


def usual_size(examples: Sequence[Example]) -> tuple[int, int]:
    """Median width and height of the images, in pixels."""
    sizes = [size_of(example) for example in examples[:: max(1, len(examples) // _LOOKED_AT)]]
    width, height = np.median(np.array(sizes), axis=0)
    return round(float(width)), round(float(height))


def pixels_in_network(smallest: float, size: tuple[int, int], spec: Preprocessing) -> float:
    """How many pixels of the network's input a defect of this side gets in an image of this size, in the direction in
    which it gets fewer."""
    left, top, right, bottom = windows(*size, spec)[0]
    return smallest * min(spec.width / (right - left), spec.height / (bottom - top))


def fitting_tiles(smallest: float, size: tuple[int, int], spec: Preprocessing) -> Tiles | None:
    """The coarsest grid in which a defect of this side gets `NEEDED` pixels; None where none is needed. Raises
    ConfigurationError where no grid suffices."""
    if pixels_in_network(smallest, size, spec) >= NEEDED:
        return None
    left, top, right, bottom = windows(*size, spec.model_copy(update={"tiles": None}))[0]
    columns = _needed(right - left, spec.width * smallest / NEEDED)
    rows = _needed(bottom - top, spec.height * smallest / NEEDED)
    if columns * rows > _MOST:
        raise ConfigurationError(
            f"a defect of {smallest:g} pixels in an image of {size[0]} x {size[1]} needs {columns} x {rows} tiles to "
            f"show {NEEDED:g} pixels of it, more than {_MOST} in all; name a region, or a larger --smallest-defect"
        )
    return Tiles(columns=columns, rows=rows)


def too_coarse(examples: Sequence[Example], spec: Preprocessing, smallest: float | None = None) -> str | None:
    """A sentence where defects are too small for this input: the `smallest` that matters, or else the marked ones; None
    where they are not, or nothing is known of them."""
    try:
        side = smallest or smallest_marked(examples)
    except DatasetError as error:
        return f"Where the defects are is not known: {error}."
    if side is None:
        return None
    found = pixels_in_network(side, usual_size(examples), spec)
    if found >= NEEDED:
        return None
    what = (
        f"A defect of {side:g} pixels on the image"
        if smallest
        else f"One in ten of the marked defects is smaller than {side:.1f} pixels on the image, and what is so small"
    )
    remedy = "name a finer grid, or none" if spec.tiles else f"train with --smallest-defect {max(1, round(side))}"
    return f"{what} has {found:.1f} in the network's input ({NEEDED:g} are needed): such ones will be missed; {remedy}."


def _needed(length: float, side: float) -> int:
    """Tiles of at most this side, with the usual overlap, that cover the length."""
    overlap = float(Tiles.model_fields["overlap"].default)
    return max(1, math.ceil(round((length / side - overlap) / (1 - overlap), 6)))
