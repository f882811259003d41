"""Sound images in every shape of the formats that a station takes, and some that it does not."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

from tests.simulators.small_bundle import picture

_SIDE = 48


@dataclass(frozen=True)
class Original:
    """`taken`: a station has to answer it with a verdict."""

    name: str
    data: bytes
    taken: bool = True


@lru_cache(maxsize=1)
def originals() -> tuple[Original, ...]:
    """All of them, the same in every run."""
    return (*_pngs(), *_jpegs(), *_bmps(), *_tiffs(), *_strangers())


def _image(mode: str = "RGB") -> Image.Image:
    image = Image.fromarray(picture(180, 1, _SIDE))
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    return image.convert(mode)


def _saved(mode: str, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    _image(mode).save(file, kind, **options)
    return file.getvalue()


def _profile() -> bytes:
    profile: Callable[[], bytes] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes
    return profile()


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x9286] = orientation, "maker", "comment" * 20
    return exif


def _pngs() -> list[Original]:
    told = PngImagePlugin.PngInfo()
    told.add_text("part", "p-1")
    told.add_text("long", "x" * 2000, zip=True)
    told.add_itxt("text", "ü" * 50, zip=True)
    found = [Original(f"png-{mode}", _saved(mode, "PNG")) for mode in ("RGB", "L", "P", "RGBA", "LA", "1", "I;16")]
    return [
        *found,
        Original("png-icc", _saved("RGB", "PNG", icc_profile=_profile())),
        Original("png-text", _saved("RGB", "PNG", pnginfo=told)),
        Original("png-exif", _saved("RGB", "PNG", exif=_exif(6))),
    ]


def _jpegs() -> list[Original]:
    return [
        *(Original(f"jpeg-{mode}", _saved(mode, "JPEG")) for mode in ("RGB", "L", "CMYK")),
        Original("jpeg-progressive", _saved("RGB", "JPEG", progressive=True)),
        Original("jpeg-full", _saved("RGB", "JPEG", subsampling=0, quality=95)),
        Original("jpeg-icc", _saved("RGB", "JPEG", icc_profile=_profile())),
        *(Original(f"jpeg-exif-{turn}", _saved("RGB", "JPEG", exif=_exif(turn))) for turn in (1, 6, 8)),
        Original("jpeg-comment", _saved("RGB", "JPEG", comment=b"c" * 300)),
    ]


def _bmps() -> list[Original]:
    return [Original(f"bmp-{mode}", _saved(mode, "BMP")) for mode in ("RGB", "L", "P", "1", "RGBA")]


def _tiffs() -> list[Original]:
    pages = [_image(), _image("L")]
    packed = ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
    return [
        *(Original(f"tiff-{mode}", _saved(mode, "TIFF")) for mode in ("RGB", "L", "I;16", "CMYK", "RGBA", "1")),
        Original("tiff-F", _saved("F", "TIFF"), taken=False),
        *(Original(f"tiff-{way}", _saved("RGB", "TIFF", compression=way)) for way in packed),
        Original("tiff-group4", _saved("1", "TIFF", compression="group4")),
        Original("tiff-pages", _saved("RGB", "TIFF", save_all=True, append_images=pages)),
        Original("tiff-icc", _saved("RGB", "TIFF", icc_profile=_profile())),
    ]


def _strangers() -> list[Original]:
    return [
        Original("gif", _saved("P", "GIF"), taken=False),
        Original("webp", _saved("RGB", "WEBP"), taken=False),
        Original("pdf", _saved("RGB", "PDF"), taken=False),
        Original("html", b"<!doctype html><img src=x onerror=alert(1)>", taken=False),
    ]
