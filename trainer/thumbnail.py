"""Pictures inside a report that needs no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from runtime.preprocessing import Box, ImageError, decode_plain

_SIDE = 160
_APART = 2  # pixels of the thumbnail between a mark and its frame
_FRAME = "orange"


def thumbnail(path: Path, marks: Sequence[Box] = ()) -> str:
    """A small JPEG as a data address, framed where it is marked (left, top, right, bottom in shares of width and
    height); empty where the file went away."""
    try:
        picture = Image.fromarray(decode_plain(path.read_bytes(), _SIDE))
    except (OSError, ImageError):
        return ""
    picture.thumbnail((_SIDE, _SIDE))
    draw = ImageDraw.Draw(picture)
    for left, top, right, bottom in marks:
        corner = left * picture.width - _APART, top * picture.height - _APART
        draw.rectangle((*corner, right * picture.width + _APART, bottom * picture.height + _APART), outline=_FRAME)
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=80)
    return data_address("image/jpeg", data.getvalue())


def data_address(kind: str, data: bytes) -> str:
    """What an `<img>` may have as its `src`."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
