"""Pictures of where a defect is: a mask beside an image becomes the boxes that its marked places fill."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from contracts.errors import DatasetError
from contracts.preprocessing import Preprocessing
from runtime.preprocessing import Box, ImageError, decode

_LOOKED_AT = 512  # cells along the longer side in which places are told apart
_REACH = 1  # cells around each marked one that belong to its place: a mark in pieces is one mark
_SPECK = 4  # pixels, below which a place is a slip of the brush where there are larger ones
_MOST = 100  # places
_HALF_OF_8_BITS, _HALF_OF_16_BITS = 127, 32_767
_LOSSLESS = Preprocessing(width=16, height=16, mean=(0.5,) * 3, std=(0.5,) * 3, formats=("PNG", "BMP", "TIFF"))


def marks_in(mask: Path, image: tuple[int, int]) -> str:
    """The boxes of a mask as a manifest says them: 'left top right bottom' apart by semicolons; zeros where nothing is
    marked. `image`: its width and height. Raises DatasetError."""
    return "; ".join(" ".join(f"{side:g}" for side in box) for box in boxes_in(mask, image)) or "0 0 0 0"


def boxes_in(mask: Path, image: tuple[int, int]) -> tuple[Box, ...]:
    """Left, top, right, bottom, in pixels, of each place that `mask` marks in an image of this width and height; none
    where it is black. Pieces that nearly touch are one place. Raises DatasetError that names the file."""
    marked = read_mask(mask, image)
    if not marked.any():
        return ()
    step = max(1, -(-max(marked.shape) // _LOOKED_AT))
    places, count = _places(marked, step)
    if count > _MOST:
        raise DatasetError(
            f"the mask {mask} marks {count} places apart from each other, more than {_MOST}: is it a photo, or noise? "
            "Draw what is defective white on black, or empty the cell"
        )
    return _boxes(marked, places, step)


def read_mask(mask: Path, image: tuple[int, int]) -> NDArray[np.bool_]:
    """[h, w] where it is marked: of 0..255 or 0..65535 the upper half, and every number above 0 where it numbers
    classes and has none so high, or has a colour for each; nothing where it is transparent. Raises DatasetError."""
    try:
        pixels, half = _values(mask.read_bytes())
    except OSError as error:
        raise DatasetError(
            f"the mask {mask} cannot be read ({error.strerror}): 'mask' names a picture of where the defect is; put it "
            "back, or empty the cell"
        ) from error
    except ImageError as error:
        raise DatasetError(f"the mask {mask} is not usable: {error}; save it as PNG, of one value a pixel") from error
    size = pixels.shape[1], pixels.shape[0]
    if size != image:
        raise DatasetError(
            f"the mask {mask} has {size[0]} x {size[1]} pixels, its image {image[0]} x {image[1]}: they must lie on "
            "each other; make it anew from this image"
        )
    return np.asarray(pixels > (half if pixels.max() > half else 0))


def _values(data: bytes) -> tuple[NDArray[np.integer[Any] | np.bool_], int]:
    """[h, w] and the last value of its lower half. `decode` would scale numbers of 16 bits down to none. Raises
    ImageError."""
    pixels = decode(data, _LOSSLESS)  # [h, w, 3]
    with Image.open(io.BytesIO(data), formats=list(_LOSSLESS.formats)) as picture:
        if picture.mode.startswith("I"):
            return np.asarray(picture), _HALF_OF_16_BITS
        numbers = picture.mode == "P" and bool((pixels != pixels[:, :, :1]).any())
        alpha = np.asarray(picture.convert("RGBA"))[:, :, 3] if picture.has_transparency_data else None
    brightest = pixels.max(2)
    marks = brightest > 0 if numbers else brightest
    return (marks if alpha is None else _opaque(marks, alpha)), _HALF_OF_8_BITS


def _opaque(
    marks: NDArray[np.integer[Any] | np.bool_], alpha: NDArray[np.uint8]
) -> NDArray[np.integer[Any] | np.bool_]:
    """[h, w] of a picture with an `alpha` channel: what is transparent marks nothing, and of one colour its shape is in
    the alpha alone. Raises ImageError where all that the colours mark is transparent."""
    shown = alpha > _HALF_OF_8_BITS
    if (marks == marks[0, 0]).all() and not shown.all():
        return shown
    if marks.any() and not marks[shown].any():
        raise ImageError("what it marks is transparent, so colours and alpha channel say different things: flatten it")
    return np.where(shown, marks, 0)


def _places(marked: NDArray[np.bool_], step: int) -> tuple[NDArray[np.int32], int]:
    """Numbered places, in cells of `step` pixels, and how many there are."""
    height, width = (-(-side // step) * step for side in marked.shape)
    padded = np.zeros((height, width), dtype=bool)
    padded[: marked.shape[0], : marked.shape[1]] = marked
    cells = padded.reshape(height // step, step, width // step, step).any((1, 3))
    joined = ndimage.maximum_filter(cells, size=2 * _REACH + 1)
    places, count = ndimage.label(joined, structure=np.ones((3, 3)))
    return places * cells, int(count)


def _boxes(marked: NDArray[np.bool_], places: NDArray[np.int32], step: int) -> tuple[Box, ...]:
    """Exact to the pixel. Specks are left out, unless there is nothing else."""
    found: list[tuple[int, Box]] = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(places), 1):
        top, left = rows.start * step, columns.start * step
        own = (places[rows, columns] == number).repeat(step, 0).repeat(step, 1)
        piece = marked[top : rows.stop * step, left : columns.stop * step]
        piece = piece & own[: piece.shape[0], : piece.shape[1]]
        down, across = np.flatnonzero(piece.any(1)), np.flatnonzero(piece.any(0))
        box = left + across[0], top + down[0], left + across[-1] + 1, top + down[-1] + 1
        found.append((int(piece.sum()), (float(box[0]), float(box[1]), float(box[2]), float(box[3]))))
    large = [box for pixels, box in found if pixels >= _SPECK]
    return tuple(large or (box for _, box in found))
