"""From a model's further answers to what a person is told: a level of severity, a box and a map in the source image.

Places are carried between the source image and the network's inputs by the same windows that pre-processing cuts. No
I/O.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from contracts.preprocessing import Preprocessing
from contracts.tasks import PixelBox, Severity, Tasks
from runtime.preprocessing import Box, inset, windows
from runtime.session import Inference

_MAP_SIDE = 64  # cells of a map over the whole image, at most


@dataclass(frozen=True)
class View:
    """What one network input shows of an image: its `window`, in pixels of the source."""

    window: Box
    spec: Preprocessing

    def to_source(self, x: float, y: float) -> tuple[float, float]:
        """A place in the input, in shares of its width and height, in pixels of the source."""
        left, top, width, height = inset(self.window, self.spec)
        across, down = (x * self.spec.width - left) / width, (y * self.spec.height - top) / height
        begin, above, end, below = self.window
        return begin + across * (end - begin), above + down * (below - above)

    def to_input(self, box: Box) -> Box:
        """A box in pixels of the source, in shares of the input's width and height; it may reach beyond 0..1."""
        left, top, width, height = inset(self.window, self.spec)
        begin, above, end, below = self.window
        across = [(left + (x - begin) / (end - begin) * width) / self.spec.width for x in (box[0], box[2])]
        down = [(top + (y - above) / (below - above) * height) / self.spec.height for y in (box[1], box[3])]
        return across[0], down[0], across[1], down[1]


def views(size: tuple[int, int], spec: Preprocessing) -> list[View]:
    """Of an image of this width and height, one for each network input. Raises ImageError as `windows` does."""
    return [View(window, spec) for window in windows(*size, spec)]


@dataclass(frozen=True)
class Found:
    """What a model says of one image beside the class; None where it has no such task. `box` in pixels of the source,
    None also where the part passes; `heat` [h, w] 0..1 over the whole image (see `heat_map`)."""

    severity: Severity | None = None
    box: PixelBox | None = None
    heat: NDArray[np.float32] | None = None


def found(
    inference: Inference, tasks: Tasks | None, spec: Preprocessing, size: tuple[int, int], *, stopped: bool
) -> Found:
    """Of a source image of this width and height. A part that is not `stopped` has no defect: neither a severity above
    none nor a box, whatever the heads say."""
    severity = box = heat = None
    if tasks is None:
        return Found()
    if tasks.severity is not None and inference.severity is not None:
        severity = tasks.severity.severity(level_of(inference.severity) if stopped else 0)
    if inference.heat is not None and inference.distances is not None:
        box = box_of(inference.heat, inference.distances, size, spec) if stopped else None
        heat = heat_map(inference.heat, size, spec)
    return Found(severity, box, heat)


def level_of(logits: NDArray[np.floating]) -> int:
    """The level of cumulative logits [levels - 1] of P(level > l): how many are likelier than not (Cao, Mirjalili &
    Raschka, Rank Consistent Ordinal Regression, 2020).

    >>> level_of(np.array([2.0, 0.5, -1.0]))
    2
    """
    return int((logits > 0).sum())


def peak_of(heat: NDArray[np.floating], size: tuple[int, int], spec: Preprocessing) -> tuple[float, float]:
    """Where `heat` [n, rows, columns] is highest, over all inputs: x and y in pixels of the source."""
    number, row, column = _hottest(heat)
    return views(size, spec)[number].to_source((column + 0.5) / heat.shape[2], (row + 0.5) / heat.shape[1])


def box_of(
    heat: NDArray[np.floating], distances: NDArray[np.floating], size: tuple[int, int], spec: Preprocessing
) -> PixelBox:
    """The box of the hottest cell (Tian et al., FCOS, ICCV 2019), of `heat` [n, rows, columns] and `distances`
    [n, 4, rows, columns] in cells, in pixels of a source of this size; within what the cell's input shows."""
    number, row, column = _hottest(heat)
    view = views(size, spec)[number]
    left, top, right, bottom = (float(value) for value in distances[number, :, row, column])
    rows, columns = heat.shape[1:]
    one = view.to_source((column + 0.5 - left) / columns, (row + 0.5 - top) / rows)
    other = view.to_source((column + 0.5 + right) / columns, (row + 0.5 + bottom) / rows)
    across = np.clip(sorted((one[0], other[0])), view.window[0], view.window[2]).round(1)
    down = np.clip(sorted((one[1], other[1])), view.window[1], view.window[3]).round(1)
    return float(across[0]), float(down[0]), float(across[1]), float(down[1])


def heat_map(heat: NDArray[np.floating], size: tuple[int, int], spec: Preprocessing) -> NDArray[np.float32]:
    """[h, w] 0..1 over the whole source image, 64 cells on its longer side: the probability of a defect there, the
    largest one where inputs overlap, 0 where none looks."""
    scale = _MAP_SIDE / max(size)
    whole = np.zeros((max(1, round(size[1] * scale)), max(1, round(size[0] * scale))), dtype=np.float32)
    rows, columns = heat.shape[1:]
    chances = (1.0 / (1.0 + np.exp(-heat.astype(np.float64)))).astype(np.float32)
    for view, cells in zip(views(size, spec), chances, strict=True):
        left, top, right, bottom = (round(value * scale) for value in view.window)
        shape = max(1, right - left), max(1, bottom - top)
        x, y, width, height = inset(view.window, spec)
        seen = (
            x / spec.width * columns,
            y / spec.height * rows,
            (x + width) / spec.width * columns,
            (y + height) / spec.height * rows,
        )
        part = np.asarray(Image.fromarray(cells).resize(shape, Image.Resampling.BILINEAR, box=seen))
        place = whole[top : top + shape[1], left : left + shape[0]]
        np.maximum(place, part[: place.shape[0], : place.shape[1]], out=place)
    return whole.clip(0.0, 1.0)


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, 0..1.

    >>> overlap((0, 0, 2, 2), (1, 0, 3, 2))
    0.3333333333333333
    """
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    total = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - shared
    return shared / total if total > 0 else 0.0


def _hottest(heat: NDArray[np.floating]) -> tuple[int, int, int]:
    number, row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    return int(number), int(row), int(column)
