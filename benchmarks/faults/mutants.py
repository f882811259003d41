"""Images that are wrong in many ways, each made from its number alone: damage, lies in headers, bombs, splices."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from benchmarks.faults.originals import originals

Mutation = Callable[[bytes, random.Random], bytes]
_SIZES = (0, 1, 2, 7, 255, 256, 7000, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
_TYPES = ("image/png", "image/jpeg", "image/bmp", "image/tiff", "application/octet-stream", "image/anything")
_CHUNKS = tuple(b"iCCP tRNS PLTE gAMA eXIf acTL fcTL zTXt iTXt IDAT IHDR".split())
_SEGMENTS = (0xE1, b"Exif\0\0"), (0xE2, b"ICC_PROFILE\0\1\1"), (0xE2, b"MPF\0"), (0xED, b"8BIM"), (0xDB, b"")
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"


@dataclass(frozen=True)
class Mutant:
    """`sound`: unchanged, and a station takes its kind."""

    kind: str
    original: str
    data: bytes
    content_type: str
    sound: bool


def mutant(number: int) -> Mutant:
    """The same in every run. One in fifty is unchanged; one in five hundred unpacks to 49 million pixels."""
    rng = random.Random(number)
    original = rng.choice(originals())
    kind = "unchanged" if number % 50 == 0 else "bomb" if number % 500 == 1 else rng.choice(sorted(MUTATIONS))
    data = original.data
    if kind != "unchanged":
        for _ in range(rng.choice((1, 1, 1, 2, 3)) if kind != "bomb" else 1):
            data = (bomb if kind == "bomb" else MUTATIONS[kind])(data, rng)
    return Mutant(kind, original.name, data, rng.choice(_TYPES), kind == "unchanged" and original.taken)


def _flips(data: bytes, rng: random.Random) -> bytes:
    return _poked(data, rng, len(data))


def _header(data: bytes, rng: random.Random) -> bytes:
    return _poked(data, rng, min(64, len(data)))


def _poked(data: bytes, rng: random.Random, within: int) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 12) if within else 0):
        changed[rng.randrange(within)] = rng.randrange(256)
    return bytes(changed)


def _short(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randint(1, max(1, len(data) - 1))]


def _hole(data: bytes, rng: random.Random) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def _stuffed(data: bytes, rng: random.Random) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + rng.randbytes(rng.choice((1, 4, 100, 5000))) + data[at:]


def _doubled(data: bytes, rng: random.Random) -> bytes:
    start, end = _span(data, rng)
    return data[:end] + data[start:end] * rng.choice((1, 2, 50)) + data[end:]


def _filled(data: bytes, rng: random.Random) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + rng.choice((b"\0", b"\xff", b"\x7f")) * (end - start) + data[end:]


def _swapped(data: bytes, rng: random.Random) -> bytes:
    a, b, c = sorted(rng.randint(0, len(data)) for _ in range(3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def _spliced(data: bytes, rng: random.Random) -> bytes:
    other = rng.choice(originals()).data
    return data[: rng.randint(0, len(data))] + other[rng.randint(0, len(other)) :]


def _noise(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.choice((0, 2, 4, 8, 30))] + rng.randbytes(rng.randint(1, 3000))


def _lengths(data: bytes, rng: random.Random) -> bytes:
    """Some number in the file, two or four bytes in either order, becomes one at the edge of its type."""
    form = rng.choice((">I", "<I", ">H", "<H"))
    width = struct.calcsize(form)
    at = rng.randint(0, max(0, min(len(data) - width, rng.choice((60, 400, 10**9)))))
    return data[:at] + struct.pack(form, rng.choice(_SIZES) % 256**width) + data[at + width :]


def _lying_size(data: bytes, rng: random.Random) -> bytes:
    """Width and height in the header, with a correct checksum where there is one."""
    width, height = rng.choice(_SIZES), rng.choice(_SIZES)
    if data.startswith(_PNG) and len(data) > 33:
        head = data[12:16] + struct.pack(">II", width % 2**32, height % 2**32) + data[24:29]
        return data[:12] + head + struct.pack(">I", zlib.crc32(head)) + data[33:]
    if data.startswith(_JPEG):
        return _lying_frame(data, width % 65536, height % 65536)
    if data.startswith(b"BM") and len(data) > 26:
        return data[:18] + struct.pack("<II", width % 2**32, height % 2**32) + data[26:]
    return _lengths(data, rng)


def _lying_frame(data: bytes, width: int, height: int) -> bytes:
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    return data if at < 0 else data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def _lying_chunks(data: bytes, rng: random.Random) -> bytes:
    """Of a PNG: a chunk of another kind, sealed properly; of others: a segment of their own kind full of noise."""
    body = rng.randbytes(rng.choice((0, 1, 13, 500, 70_000)))
    if data.startswith(_PNG):
        return data[:33] + chunk(rng.choice(_CHUNKS), body) + data[33:]
    if data.startswith(_JPEG):
        marker, name = rng.choice(_SEGMENTS)
        body = (name + body)[:65_533]
        return data[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body + data[2:]
    return data + body


def _inflating(data: bytes, rng: random.Random) -> bytes:
    """A text or a profile in a PNG that unpacks to 20 MB."""
    del data
    name, head = rng.choice(((b"zTXt", b"t\0\0"), (b"iCCP", b"p\0\0"), (b"iTXt", b"t\0\1\0\0\0")))
    sound = next(each.data for each in originals() if each.name == "png-RGB")
    return sound[:33] + chunk(name, head + _zeros(20_000_000)) + sound[33:]


def bomb(data: bytes, rng: random.Random) -> bytes:
    """A PNG of 7000 x 7000 pixels, all black, in some ten thousand bytes."""
    del data
    depth, colour = rng.choice(((1, 0), (8, 0), (8, 2), (8, 3), (16, 0)))
    row = 1 + -(-7000 * depth * (3 if colour == 2 else 1) // 8)
    head = struct.pack(">IIBBBBB", 7000, 7000, depth, colour, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(768)) if colour == 3 else b""
    return _PNG + chunk(b"IHDR", head) + palette + chunk(b"IDAT", _zeros(row * 7000)) + chunk(b"IEND", b"")


@lru_cache(maxsize=8)
def _zeros(count: int) -> bytes:
    """So many, packed."""
    return zlib.compress(bytes(count), 9)


def chunk(name: bytes, body: bytes) -> bytes:
    """One sealed chunk of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _span(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randint(0, len(data))
    return start, min(len(data), start + rng.choice((1, 4, 16, 200, 2000)))


MUTATIONS: dict[str, Mutation] = {
    "changed bytes": _flips,
    "changed header": _header,
    "cut short": _short,
    "a piece missing": _hole,
    "noise inside": _stuffed,
    "a piece repeated": _doubled,
    "a piece blank": _filled,
    "pieces swapped": _swapped,
    "two files spliced": _spliced,
    "noise": _noise,
    "a number at its edge": _lengths,
    "a size that lies": _lying_size,
    "a foreign segment": _lying_chunks,
    "unpacks to 20 MB": _inflating,
}
