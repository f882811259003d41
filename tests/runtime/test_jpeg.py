"""The short way to a plain JPEG's pixels gives what Pillow gives, and leaves to it whatever is not plain."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from contracts.preprocessing import Preprocessing
from runtime import preprocessing
from runtime.jpeg import read_frame
from runtime.preprocessing import ImageError, decode

NEW = Preprocessing(schema_version=3, least_scale=1, width=64, height=48, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
OLD = Preprocessing(width=224, height=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
WAYS: list[dict[str, Any]] = [
    {"quality": 90},
    {"progressive": True},
    {"quality": 95, "subsampling": 0, "optimize": True},
    {"restart_marker_blocks": 4, "comment": b"a note"},
    {"icc_profile": b"x" * 70_000, "exif": Image.Exif()},
]


def photograph(width: int, height: int) -> Image.Image:
    """Something with detail at every scale."""
    noise = np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)
    coarse = Image.fromarray(noise[: height // 8 + 1, : width // 8 + 1]).resize((width, height))
    return Image.blend(coarse, Image.fromarray(noise), 0.2)


def saved(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def answer(data: bytes, spec: Preprocessing) -> NDArray[np.uint8] | str:
    """The pixels, or why there are none."""
    try:
        return decode(data, spec)
    except ImageError as error:
        return str(error)


def pillows(data: bytes, spec: Preprocessing) -> NDArray[np.uint8] | str:
    """The answer without the short way."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(preprocessing, "_plain", lambda data, spec: None)
        return answer(data, spec)


@pytest.mark.parametrize("options", WAYS, ids=[next(iter(way)) for way in WAYS])
@pytest.mark.parametrize("size", [(640, 480), (641, 479), (130, 97), (9, 9), (1, 1)], ids=str)
def test_a_plain_jpeg_has_the_pixels_that_pillow_gives(options: dict[str, Any], size: tuple[int, int]) -> None:
    for mode in ("RGB", "L"):
        data = saved(photograph(*size).convert(mode), **options)
        assert read_frame(data) == (*size, mode)
        for spec in (NEW, OLD, OLD.model_copy(update={"region_of_interest": (0, 0, 1, 1)})):
            np.testing.assert_array_equal(answer(data, spec), pillows(data, spec))


def test_real_photographs_have_the_pixels_that_pillow_gives(data_folder: Path) -> None:
    files = sorted(data_folder.rglob("*.jpg"))
    for file in files[:: max(1, len(files) // 12)]:
        data = file.read_bytes()
        assert read_frame(data) is not None
        for spec in (NEW, OLD):
            np.testing.assert_array_equal(answer(data, spec), pillows(data, spec))


def test_what_is_not_plain_is_left_to_pillow() -> None:
    picture = photograph(64, 48)
    data = saved(picture)
    frameless = data.replace(b"\xff\xc0", b"\xff\xe5", 1)
    others = [
        saved(picture.convert("CMYK")),
        saved(picture, "MPO", save_all=True, append_images=[picture]),
        saved(picture, "PNG"),
        b"\xff\xd8\xff\xc9" + data[4:],
        b"\xff\xd8\xff" + data[2:],
        data[:100],
        frameless,
        b"",
    ]
    assert [read_frame(other) for other in others] == [None] * len(others)


def test_a_second_frame_does_not_change_the_size_that_was_checked() -> None:
    data = saved(photograph(64, 48))
    at = data.index(b"\xff\xc0")
    frame = data[at : at + 2 + int.from_bytes(data[at + 2 : at + 4])]
    larger = frame[:5] + (4000).to_bytes(2) * 2 + frame[9:]
    assert read_frame(data[:at] + frame + larger + data[at + len(frame) :]) is None


def test_a_picture_larger_than_allowed_is_refused_as_ever() -> None:
    data, strict = saved(photograph(64, 48)), NEW.model_copy(update={"max_pixels": 3071})
    assert answer(data, strict) == pillows(data, strict)
    assert "64 x 48 pixels" in str(answer(data, strict))


def test_damaged_files_get_the_same_answer_either_way() -> None:
    draw = random.Random(3)
    whole = [saved(photograph(96, 72), **way) for way in WAYS[:4]]
    for _ in range(400):
        data = bytearray(draw.choice(whole))
        place = draw.randrange(draw.choice((400, len(data))))
        if draw.random() < 0.3:
            del data[place : place + draw.choice((1, 2, len(data)))]
        else:
            data[place] = draw.randrange(256)
        one, other = answer(bytes(data), NEW), pillows(bytes(data), NEW)
        assert type(one) is type(other)
        np.testing.assert_array_equal(one, other)
