"""How an image becomes the network's input. The only implementation: trainer, certificate and agent call this one.

`decode` turns a file's bytes into pixels, `prepare` pixels into the input tensor; a camera that delivers pixels skips
the first.
"""

from __future__ import annotations

import io
import struct
import zlib
from functools import lru_cache
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, UnidentifiedImageError

from contracts.errors import LinesideError
from contracts.preprocessing import Preprocessing
from runtime.jpeg import Frame, read_frame, read_picture

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "box": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
}
_WIDE_MODES = ("I;16", "I;16L", "I;16B", "I;16N")
_MOST_PLAIN = 50_000_000  # pixels; of a larger picture Pillow is asked whether it is a trap

Box = tuple[float, float, float, float]

_UNREADABLE = (
    OSError,  # also UnidentifiedImageError
    SyntaxError,  # what Pillow raises for broken PNG and TIFF headers
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    ArithmeticError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    MemoryError,
    Image.DecompressionBombError,
    Warning,  # where the process turns warnings into errors
)
"""What Pillow raises for damaged files: 640,000 mutated files raised nothing else."""


class ImageError(LinesideError):
    """One image cannot be used: say so and go on with the next. Over HTTP it is the sender's fault (4xx)."""


def decode(data: bytes, spec: Preprocessing) -> NDArray[np.uint8]:
    """Pixels [h, w, 3] uint8 RGB of an encoded image; see `read_image`. Raises ImageError."""
    return np.asarray(read_image(data, spec), dtype=np.uint8)


def read_image(data: bytes, spec: Preprocessing) -> Image.Image:
    """An encoded image as RGB, as Pillow holds it: what both resizes it and looks at its pixels copies it once less.

    The format must be one of `spec.formats` and the size in the header at most `spec.max_pixels`; both are checked
    before a pixel is decoded. Grey and palette become RGB, transparency is dropped, 16-bit grey is scaled by 1/257
    (full range; 12-bit data in 16-bit files stays dark, the same way in training and on the line). Orientation tags
    are ignored: a fixed camera does not turn. Of several pages the first one counts. A JPEG in which no place is named
    is decoded at the smallest scale (1, 1/2, 1/4 or 1/8) that is still `spec.least_scale` times as large as the
    network's input (all tiles together) in both directions. Raises ImageError.
    """
    plain = _plain(data, spec)
    if plain is not None:
        return _rgb(plain)
    try:
        with Image.open(io.BytesIO(data), formats=list(spec.formats)) as image:
            _check_size(image.size, spec)
            return _read(image, spec)
    except UnidentifiedImageError as error:
        raise ImageError(
            f"not an image in one of the formats {', '.join(spec.formats)} ({len(data)} bytes); "
            "send the camera's file unchanged"
        ) from error
    except _UNREADABLE as error:
        raise ImageError(f"the image is damaged ({_brief(error)}); send it again or take a new one") from error


def decode_plain(data: bytes, side: int) -> NDArray[np.uint8]:
    """Pixels [h, w, 3] uint8 RGB for looking at or measuring, whatever network comes later; a large JPEG may be decoded
    smaller, but not below twice `side` pixels. Raises ImageError."""
    return decode(data, Preprocessing(width=side, height=side, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)))


def prepare(image: NDArray[np.uint8] | Image.Image, spec: Preprocessing) -> NDArray[np.float32]:
    """The network's input [n, 3, height, width] float32 of `image` [h, w, 3] uint8 RGB (or as `read_image` gives it):
    what is hidden blanked, region of interest, its n tiles (1 without), resize (antialiased when it shrinks),
    `(x / 255 - mean) / std`. Raises ImageError."""
    picture = _shown(image, spec)
    boxes = windows(*picture.size, spec)
    tensor = np.empty((len(boxes), 3, spec.height, spec.width), dtype=np.float32)
    for box, planes in zip(boxes, tensor, strict=True):
        resized = _stretch(picture, box, spec) if spec.resize == "stretch" else _pad(picture, box, spec)
        np.copyto(planes, np.asarray(resized).transpose(2, 0, 1))  # from [height, width, 3] uint8
    mean, std = (np.array(values).reshape(3, 1, 1) for values in (spec.mean, spec.std))
    tensor *= (1.0 / (255.0 * std)).astype(np.float32)
    tensor -= (mean / std).astype(np.float32)
    return tensor


@lru_cache(maxsize=8)
def visible(width: int, height: int, spec: Preprocessing) -> NDArray[np.bool_] | None:
    """[height, width] where an image of this size may be seen and kept: inside the region of interest, outside what is
    hidden; None where all of it may. Raises ImageError where the region does not fit, or the image has not the size in
    which the areas were named."""
    if not spec.in_source_pixels:
        return None
    if spec.hides and (width, height) != spec.source_size:
        raise ImageError(
            f"the image has {width} x {height} pixels, but what is hidden was named in images of "
            f"{' x '.join(map(str, spec.source_size or ()))}; the camera's resolution or crop has changed: train again "
            "with the areas as they are now"
        )
    mask = Image.new("1", (width, height))
    draw = ImageDraw.Draw(mask)
    left, top, right, bottom = _box(width, height, spec)
    draw.rectangle((left, top, right - 1, bottom - 1), fill=1)
    for polygon in spec.hidden:
        draw.polygon(polygon, fill=0)
    seen: NDArray[np.bool_] = np.array(mask, dtype=np.bool_)
    if spec.region_polygon is not None:
        inside = Image.new("1", (width, height))
        ImageDraw.Draw(inside).polygon(spec.region_polygon, fill=1)
        seen &= np.asarray(inside, dtype=np.bool_)
    return seen


def windows(width: int, height: int, spec: Preprocessing) -> tuple[Box, ...]:
    """Left, top, right, bottom, in pixels of an image of this size, of what each network input shows. Raises ImageError
    where the region of interest does not fit."""
    left, top, right, bottom = _box(width, height, spec)
    if spec.tiles is None:
        return ((left, top, right, bottom),)
    tiles = spec.tiles.boxes(right - left, bottom - top)
    return tuple((left + box[0], top + box[1], left + box[2], top + box[3]) for box in tiles)


def inset(box: Box, spec: Preprocessing) -> tuple[int, int, int, int]:
    """Left, top, width, height, in pixels of a network input, of where it shows this window of the source: all of it,
    or the middle where it is padded."""
    if spec.resize == "stretch":
        return 0, 0, spec.width, spec.height
    width, height = box[2] - box[0], box[3] - box[1]
    scale = min(spec.width / width, spec.height / height)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    return (spec.width - inner[0]) // 2, (spec.height - inner[1]) // 2, *inner


def blackened(image: NDArray[np.uint8], spec: Preprocessing) -> NDArray[np.uint8]:
    """The image [h, w, 3] as whoever looks at it may have it: black where something is hidden. Raises ImageError as
    `visible`."""
    seen = visible(image.shape[1], image.shape[0], spec) if spec.hides else None
    return image if seen is None else image * seen[:, :, np.newaxis]


def size_of(data: bytes, spec: Preprocessing) -> tuple[int, int]:
    """Width and height of an encoded image, from its header; `decode` may answer with fewer pixels. Raises
    ImageError."""
    frame = _frame(data, spec)
    if frame is not None:
        return frame.width, frame.height
    try:
        with Image.open(io.BytesIO(data), formats=list(spec.formats)) as image:
            return image.size
    except _UNREADABLE as error:
        raise ImageError(f"the image is damaged ({_brief(error)}); send it again or take a new one") from error


def _check_size(size: tuple[int, int], spec: Preprocessing) -> None:
    width, height = size
    if width * height > spec.max_pixels:
        raise ImageError(
            f"the image has {width} x {height} pixels, more than the {spec.max_pixels} allowed; "
            "send a smaller one or raise max_pixels in the pre-processing"
        )


def _frame(data: bytes, spec: Preprocessing) -> Frame | None:
    """What a plain JPEG says of its picture; None of all else, and of one so large that Pillow is asked first."""
    frame = read_frame(data) if "JPEG" in spec.formats else None
    return frame if frame is not None and frame.width * frame.height <= _MOST_PLAIN else None


def _plain(data: bytes, spec: Preprocessing) -> Image.Image | None:
    """A plain JPEG of allowed size; None of all else, and of a damaged one."""
    frame = _frame(data, spec)
    if frame is None or frame.width * frame.height > spec.max_pixels:
        return None
    return read_picture(data, frame, None if spec.in_source_pixels else _least(spec))


def _least(spec: Preprocessing) -> tuple[int, int]:
    """Pixels across and down that a reduced JPEG still has."""
    width, height = spec.resolution
    return spec.least_scale * width, spec.least_scale * height


def _read(image: Image.Image, spec: Preprocessing) -> Image.Image:
    if image.format == "JPEG" and not spec.in_source_pixels:
        image.draft(None, _least(spec))
    if image.mode in _WIDE_MODES or image.mode == "I":
        return Image.fromarray(_from_wide(np.asarray(image)))
    if image.mode == "F":
        raise ImageError("floating-point pixels have no agreed range; save the image with 8 or 16 bits")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return _rgb(image)


def _rgb(image: Image.Image) -> Image.Image:
    image.load()
    return image if image.mode == "RGB" else image.convert("RGB")


def _shown(image: NDArray[np.uint8] | Image.Image, spec: Preprocessing) -> Image.Image:
    """What the network may see of it."""
    if isinstance(image, Image.Image):
        if not spec.hides:
            return image
        image = np.asarray(image, dtype=np.uint8)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ImageError(f"an image must be [h, w, 3] uint8, this one is {list(image.shape)} {image.dtype}")
    return Image.fromarray(_blanked(image, spec) if spec.hides else image)


def _from_wide(grey: NDArray[np.generic]) -> NDArray[np.uint8]:
    scaled = np.clip(np.rint(grey.astype(np.float32) / 257.0), 0, 255).astype(np.uint8)  # [h, w]
    return np.repeat(scaled[:, :, np.newaxis], 3, axis=2)


def _box(width: int, height: int, spec: Preprocessing) -> tuple[int, int, int, int]:
    if spec.region_of_interest is not None:
        left, top, right, bottom = spec.region_of_interest
    elif spec.region_polygon is not None:
        across, down = zip(*spec.region_polygon, strict=True)
        left, top, right, bottom = floor(min(across)), floor(min(down)), ceil(max(across)), ceil(max(down))
    else:
        return 0, 0, width, height
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ImageError(
            f"the region of interest {left},{top},{right},{bottom} does not lie inside this image of "
            f"{width} x {height} pixels; the camera's resolution or crop has changed"
        )
    return left, top, right, bottom


def _stretch(picture: Image.Image, box: Box, spec: Preprocessing) -> Image.Image:
    whole: Box = (0, 0, *picture.size)
    if box == whole and picture.size == (spec.width, spec.height):
        return picture
    return picture.resize((spec.width, spec.height), resample=_FILTERS[spec.filter], box=box)


def _blanked(image: NDArray[np.uint8], spec: Preprocessing) -> NDArray[np.uint8]:
    seen = visible(image.shape[1], image.shape[0], spec)
    return image if seen is None else np.where(seen[:, :, np.newaxis], image, _grey(spec))


def _grey(spec: Preprocessing) -> NDArray[np.uint8]:
    """[3] the mean colour, about 0 for the network."""
    return np.array([round(255 * value) for value in spec.mean], dtype=np.uint8)


def _pad(picture: Image.Image, box: Box, spec: Preprocessing) -> Image.Image:
    """Keep the aspect, centre, fill with the mean colour (about 0 for the network)."""
    left, top, width, height = inset(box, spec)
    red, green, blue = _grey(spec).tolist()
    canvas = Image.new("RGB", (spec.width, spec.height), (red, green, blue))
    canvas.paste(picture.resize((width, height), resample=_FILTERS[spec.filter], box=box), (left, top))
    return canvas


def _brief(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0][:120] if text else type(error).__name__
