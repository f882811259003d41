"""The plain kind of JPEG, decoded without a look at all that such a file may carry beside its picture.

Pillow reads every table and note of a file in Python before its decoder, which is libjpeg, reads them again: a sixth of
the time for a photograph of 640 x 480. Here only the header is looked up; the decoder and its settings are the same.
"""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image

_START, _SCAN, _HEADER_BYTES = b"\xff\xd8", 0xDA, 6
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended, progressive
_BESIDE = frozenset({0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)})  # tables, restarts, notes, what programs add
_SEVERAL = b"MPF\0"  # more than one picture
_MODES = {1: "L", 3: "RGB"}  # by number of components
_SCALES = (8, 4, 2)


class Frame(NamedTuple):
    """What a file says of its picture: width and height in pixels, `L` or `RGB`."""

    width: int
    height: int
    mode: str


def read_frame(data: bytes) -> Frame | None:
    """Of a file that is nothing but a plain JPEG: one frame of 8 bits, grey or colour, behind whole segments. None of
    all others, which Pillow knows better."""
    found, at = None, len(_START)
    while data.startswith(b"\xff", at) and at + 4 <= len(data):
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if marker == _SCAN:
            return found if data.startswith(_START) else None
        if marker in _FRAMES and found is None:
            found = _frame(data[at + 4 : at + 4 + _HEADER_BYTES])
            if found is None:
                return None
        elif marker not in _BESIDE or length < 2 or data.startswith(_SEVERAL, at + 4):
            return None
        at += 2 + length
    return None


def read_picture(data: bytes, frame: Frame, least: tuple[int, int] | None) -> Image.Image | None:
    """The picture in `frame.mode`, at the smallest of 1, 1/2, 1/4 and 1/8 of its size that has `least` pixels across
    and down (None: all); what Pillow's `draft` and `load` give. None where the decoder has not got a whole one."""
    scale = 1 if least is None else _scale(frame, least)
    size = -(-frame.width // scale), -(-frame.height // scale)
    try:
        return Image.frombytes(frame.mode, size, data, "jpeg", frame.mode, "", scale, 0)
    except (ValueError, OSError, MemoryError):
        return None


def _frame(header: bytes) -> Frame | None:
    if len(header) < _HEADER_BYTES or header[0] != 8 or header[5] not in _MODES:
        return None
    height, width = int.from_bytes(header[1:3]), int.from_bytes(header[3:5])
    return Frame(width, height, _MODES[header[5]]) if width and height else None


def _scale(frame: Frame, least: tuple[int, int]) -> int:
    most = min(frame.width // least[0], frame.height // least[1])
    return next((scale for scale in _SCALES if most >= scale), 1)
