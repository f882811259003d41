"""Pictures inside a report that needs no other file."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from runtime.preprocessing import ImageError, decode_plain

_SIDE = 160


def thumbnail(path: Path) -> str:
    """A small JPEG as a data address; empty where the file went away."""
    try:
        picture = Image.fromarray(decode_plain(path.read_bytes(), _SIDE))
    except (OSError, ImageError):
        return ""
    picture.thumbnail((_SIDE, _SIDE))
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=80)
    return data_address("image/jpeg", data.getvalue())


def data_address(kind: str, data: bytes) -> str:
    """What an `<img>` may have as its `src`."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
