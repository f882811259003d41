"""Where in an image its defect was marked, which of the image's tiles show it, and what they teach."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from contracts.errors import DatasetError
from contracts.preprocessing import Preprocessing
from runtime.preprocessing import Box, windows
from trainer.dataset import BOXES_COLUMN, Example, size_in

COLUMN = BOXES_COLUMN
"""Of a manifest: left, top, right and bottom in pixels of the image, apart by spaces or commas; several by semicolons;
empty or zeros where nothing is marked."""

_SHOWN = 0.5  # share of a marked defect, from which on a tile shows it
_ENOUGH = 10  # images with a tile that shows one, below which tiles are not taught one by one


@dataclass(frozen=True)
class TileLesson:
    """Of n images with t inputs each: targets [n, t, k] probabilities, weights [n, t] of mean 1, 0 where nothing is
    known."""

    targets: Tensor
    weights: Tensor

    def rows(self, index: Tensor) -> TileLesson:
        """Those of some images."""
        return TileLesson(self.targets[index], self.weights[index])


def boxes_of(example: Example) -> tuple[Box, ...]:
    """The marked defects. Raises DatasetError for text that is no box."""
    found = []
    for text in filter(None, (part.strip() for part in example.attributes.get(COLUMN, "").split(";"))):
        try:
            left, top, right, bottom = (float(number) for number in text.replace(",", " ").split())
        except ValueError:
            left = top = right = bottom = math.nan
        if (left, top, right, bottom) == (0, 0, 0, 0):
            continue
        if not (0 <= left < right < math.inf and 0 <= top < bottom < math.inf) or max(right, bottom) <= 1:
            raise DatasetError(
                f"{example.path}: {COLUMN} {text!r} is not 'left top right bottom' in pixels; correct it"
            )
        found.append((left, top, right, bottom))
    return tuple(found)


def shown_defects(examples: Sequence[Example], spec: Preprocessing) -> Tensor:
    """[n, t] float32 in 0..1: the largest share of a marked defect that each of an image's t inputs shows; not a number
    for an image without a mark, and where an image is one input. Raises DatasetError, also for a mark outside its
    image."""
    rows = torch.full((len(examples), spec.inputs), math.nan)
    if spec.inputs == 1:
        return rows
    for row, example in enumerate(examples):
        marked = boxes_of(example)
        if marked:
            width, height = size_of(example)
            if any(box[0] >= width or box[1] >= height for box in marked):
                raise DatasetError(f"{example.path}: {COLUMN} marks a place outside its {width} x {height} pixels")
            tiles = windows(width, height, spec)
            rows[row] = torch.tensor([max(_share(box, tile) for box in marked) for tile in tiles])
    return rows


def tile_lesson(shown: Tensor, targets: Tensor, passes: Tensor, weights: Tensor) -> TileLesson | None:
    """What is known of single tiles: all of a good image are good, and those that show at least half of a marked defect
    are defective; the rest of a defective image is unknown. Each image's weight is shared by its known tiles. `shown`
    [n, t], the images' targets [n, k], `passes` [n] bool, weights [n]. None where an image is one input, or where too
    few images have a tile that shows their defect."""
    known = passes[:, None] | (shown >= _SHOWN)
    if shown.shape[1] == 1 or int((known.any(1) & ~passes).sum()) < _ENOUGH or not bool(passes.any()):
        return None
    each = weights[:, None] * known / known.sum(1, keepdim=True).clamp_min(1)
    return TileLesson(targets[:, None].expand(*shown.shape, -1), each / each.mean())


def size_of(example: Example) -> tuple[int, int]:
    """Width and height of the image file, pixels. Raises DatasetError."""
    return size_in(example.path)


def placed(example: Example) -> tuple[Box, ...]:
    """The marked defects in shares of the image's width and height, to be drawn; none where they cannot be read."""
    try:
        boxes = boxes_of(example)
        width, height = size_of(example) if boxes else (1, 1)
    except DatasetError:
        return ()
    return tuple((left / width, top / height, right / width, bottom / height) for left, top, right, bottom in boxes)


def _share(box: Box, tile: Box) -> float:
    """Of the box that lies in the tile."""
    width = min(box[2], tile[2]) - max(box[0], tile[0])
    height = min(box[3], tile[3]) - max(box[1], tile[1])
    return max(0.0, width) * max(0.0, height) / ((box[2] - box[0]) * (box[3] - box[1]))
