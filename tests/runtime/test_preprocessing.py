"""Pixels in, network input out: the same for trainer, certificate and station."""

from __future__ import annotations

import io
import random
import struct
import zlib
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from contracts.preprocessing import Preprocessing, Tiles
from runtime.preprocessing import ImageError, decode, prepare, visible

SIZED: dict[str, Any] = {"schema_version": 2, "source_size": (64, 48)}


def spec(**changes: Any) -> Preprocessing:
    values = {"width": 32, "height": 24, "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.25, 0.5)}
    return Preprocessing.model_validate({**values, **changes})


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def gradient(width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """[h, w, 3], every channel different, no two neighbours alike."""
    across = np.linspace(0, 255, width)[np.newaxis, :, np.newaxis]
    down = np.linspace(255, 0, height)[:, np.newaxis, np.newaxis]
    channels = np.concatenate([across + 0 * down, down + 0 * across, (across + down) / 2], axis=2)
    return channels.astype(np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_give_the_pixels_back(kind: str) -> None:
    image = gradient()
    assert np.array_equal(decode(encoded(Image.fromarray(image), kind), spec()), image)


def test_jpeg_is_decoded_close_to_the_original() -> None:
    image = gradient()
    found = decode(encoded(Image.fromarray(image), "JPEG", quality=95), spec())
    assert found.shape == image.shape
    assert np.abs(found.astype(int) - image).mean() < 4


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "RGBA", "CMYK", "I;16"])
def test_every_kind_of_pixel_becomes_rgb(mode: str) -> None:
    if mode == "I;16":
        picture = Image.fromarray(gradient()[:, :, 0].astype(np.uint16) * 257)
    else:
        picture = Image.fromarray(gradient()).convert(mode)
    found = decode(encoded(picture, "TIFF" if mode == "CMYK" else "PNG"), spec())
    assert found.shape == (48, 64, 3)
    assert found.dtype == np.uint8


def test_sixteen_bit_grey_keeps_its_levels() -> None:
    levels = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    found = decode(encoded(Image.fromarray(levels)), spec())
    assert np.array_equal(found[:, :, 0].ravel(), np.arange(256))


def test_orientation_tags_do_not_turn_the_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(Image.fromarray(gradient()), "JPEG", exif=exif, quality=95)
    assert decode(turned, spec()).shape == (48, 64, 3)


def test_large_jpeg_is_decoded_at_a_reduced_scale_that_changes_little() -> None:
    image = gradient(1024, 768)
    reduced = decode(encoded(Image.fromarray(image), "JPEG", quality=95), spec())
    assert reduced.shape[0] < 768
    assert reduced.shape[0] >= 2 * 24
    assert reduced.shape[1] >= 2 * 32
    assert np.abs(prepare(reduced, spec()) - prepare(image, spec())).max() < 0.1


@pytest.mark.parametrize(
    ("size", "smallest", "older"),
    [((128, 96), (32, 24), (64, 48)), ((120, 96), (60, 48), (120, 96)), ((62, 46), (62, 46), (62, 46))],
)
def test_jpeg_is_decoded_as_small_as_the_bundle_allows(
    size: tuple[int, int], smallest: tuple[int, int], older: tuple[int, int]
) -> None:
    data = encoded(Image.fromarray(gradient(*size)), "JPEG", quality=95)
    small = decode(data, spec(schema_version=3, least_scale=1))
    assert (small.shape[1], small.shape[0]) == smallest
    assert decode(data, spec()).shape == (older[1], older[0], 3)
    assert np.abs(prepare(small, spec()) - prepare(gradient(*size), spec())).max() < 0.1


def test_an_older_station_must_not_pass_over_the_scale() -> None:
    with pytest.raises(ValidationError, match="least_scale 1 needs schema_version 3"):
        spec(schema_version=2, least_scale=1)


def test_region_of_interest_keeps_the_full_scale() -> None:
    data = encoded(Image.fromarray(gradient(1024, 768)), "JPEG")
    assert decode(data, spec(region_of_interest=(0, 0, 500, 500))).shape == (768, 1024, 3)


def png_that_claims(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR" + header) + png_chunk(b"IDAT" + zlib.compress(b"\0" * 1000))


def png_chunk(content: bytes) -> bytes:
    return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))


def test_huge_picture_is_refused_from_its_header() -> None:
    with pytest.raises(ImageError, match=r"8000 x 8000 pixels, more than the 50000000 allowed"):
        decode(png_that_claims(8000, 8000), spec())


@pytest.mark.parametrize("data", [b"", b"not a picture", b"<svg/>", encoded(Image.fromarray(gradient()), "GIF")])
def test_what_is_no_allowed_picture_is_refused_by_name_of_the_formats(data: bytes) -> None:
    with pytest.raises(ImageError, match="not an image in one of the formats PNG, JPEG, BMP, TIFF"):
        decode(data, spec())


def test_truncated_picture_is_refused() -> None:
    data = encoded(Image.fromarray(gradient()), "JPEG")
    with pytest.raises(ImageError, match="damaged"):
        decode(data[: len(data) // 2], spec())


def test_float_pixels_are_refused_with_the_remedy() -> None:
    data = encoded(Image.fromarray(np.zeros((8, 8), np.float32)), "TIFF")
    with pytest.raises(ImageError, match="save the image with 8 or 16 bits"):
        decode(data, spec())


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("JPEG", {}), ("BMP", {}), ("TIFF", {}),
                                               ("TIFF", {"compression": "tiff_lzw"})])  # fmt: skip
def test_mutated_files_raise_nothing_but_image_errors(kind: str, options: dict[str, str]) -> None:
    data, chance = encoded(Image.fromarray(gradient()), kind, **options), random.Random(1)
    refused = 0
    for _ in range(300):
        mutant = bytearray(data)
        for _ in range(chance.choice([1, 2, 8])):
            mutant[chance.randrange(min(len(mutant), 200))] = chance.randrange(256)
        try:
            assert decode(bytes(mutant), spec()).shape[2] == 3
        except ImageError:
            refused += 1
    assert 0 < refused < 300


def test_prepare_normalises_every_channel_on_its_own() -> None:
    image = np.full((24, 32, 3), (51, 102, 204), np.uint8)
    tensor = prepare(image, spec())
    assert tensor.shape == (1, 3, 24, 32)
    assert tensor.dtype == np.float32
    assert tensor[0, :, 0, 0] == pytest.approx([(0.2 - 0.4) / 0.2, (0.4 - 0.5) / 0.25, (0.8 - 0.6) / 0.5], abs=1e-6)


def test_prepare_equals_the_textbook_formula_when_nothing_is_resized() -> None:
    image = gradient(32, 24)
    expected = (image / 255.0 - np.array([0.4, 0.5, 0.6])) / np.array([0.2, 0.25, 0.5])
    assert np.abs(prepare(image, spec())[0] - expected.transpose(2, 0, 1)).max() < 1e-5


def test_shrinking_averages_instead_of_skipping_pixels() -> None:
    stripes = np.zeros((240, 320, 3), np.uint8)
    stripes[:, ::2] = 255
    grey = (prepare(stripes, spec(mean=(0, 0, 0), std=(1, 1, 1)))[0, 0]).mean()
    assert grey == pytest.approx(0.5, abs=0.02)


def test_stretch_fills_the_frame_and_pad_keeps_the_aspect() -> None:
    white = np.full((100, 100, 3), 255, np.uint8)
    stretched = prepare(white, spec(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)))
    padded = prepare(white, spec(resize="pad", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)))
    assert stretched.min() == pytest.approx(1.0)
    assert padded[0, 0, 0, 0] == pytest.approx(0.0, abs=0.01)
    assert padded[0, 0, 12, 16] == pytest.approx(1.0)


def test_region_of_interest_is_what_the_network_sees() -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[10:34, 20:52] = 255
    tensor = prepare(image, spec(region_of_interest=(20, 10, 52, 34), mean=(0, 0, 0), std=(1, 1, 1)))
    assert tensor.min() == pytest.approx(1.0)


def test_region_outside_the_picture_names_both_sizes() -> None:
    with pytest.raises(ImageError, match="0,0,100,40 does not lie inside this image of 64 x 48"):
        prepare(gradient(), spec(region_of_interest=(0, 0, 100, 40)))


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_prepare_refuses_what_is_not_an_rgb_picture(image: NDArray[Any]) -> None:
    with pytest.raises(ImageError, match="must be"):
        prepare(image, spec())


def test_tiles_are_windows_of_the_region_of_interest_row_by_row() -> None:
    image = gradient(96, 64)
    tiled = spec(region_of_interest=(8, 4, 88, 52), schema_version=2, tiles=Tiles(columns=3, rows=2, overlap=0.25))
    tensor = prepare(image, tiled)
    assert tensor.shape == (6, 3, 24, 32)
    for number, (left, top) in enumerate([(8, 4), (32, 4), (56, 4)]):  # 80 = (3 - 2 * 0.25) * 32
        alone = prepare(image, spec(region_of_interest=(left, top, left + 32, round(top + 48 / 1.75))))
        assert np.abs(tensor[number] - alone[0]).max() < 0.1  # the lower edge lies between two pixels
    assert np.array_equal(
        prepare(image, spec(schema_version=2, tiles=Tiles(columns=1, rows=1))), prepare(image, spec())
    )


@pytest.mark.parametrize("overlap", [0.0, 0.15, 0.5])
def test_tiles_leave_nothing_out(overlap: float) -> None:
    boxes = Tiles(columns=4, rows=3, overlap=overlap).boxes(113, 46)
    assert min(box[0] for box in boxes) == min(box[1] for box in boxes) == 0
    assert max(box[2] for box in boxes) == pytest.approx(113)
    assert max(box[3] for box in boxes) == pytest.approx(46)
    for left, right in pairwise(boxes[:4]):
        assert (left[2] - right[0]) / (left[2] - left[0]) == pytest.approx(overlap)


def test_a_large_picture_keeps_the_scale_that_its_tiles_need() -> None:
    data = encoded(Image.fromarray(gradient(1024, 768)), "JPEG")
    assert decode(data, spec()).shape == (96, 128, 3)
    assert decode(data, spec(schema_version=2, tiles=Tiles(columns=8, rows=8))).shape == (384, 512, 3)


def test_what_is_hidden_changes_nothing() -> None:
    image = gradient()
    hidden = spec(**SIZED, hidden=[[(10, 10), (30, 10), (30, 40), (10, 40)]])
    other = image.copy()
    other[11:40, 11:30] = 255 - other[11:40, 11:30]
    assert np.array_equal(prepare(image, hidden), prepare(other, hidden))
    assert not np.array_equal(prepare(image, spec()), prepare(other, spec()))
    seen = visible(64, 48, hidden)
    assert seen is not None
    assert not seen[10:41, 10:31].any()
    assert int((~seen).sum()) == 31 * 21


def test_a_polygon_is_cropped_to_and_hides_what_lies_outside() -> None:
    triangle = spec(**SIZED, region_polygon=[(8, 4), (56, 4), (8, 44)])
    image = gradient()
    other = image.copy()
    other[40:, 30:] = 0  # beyond the long side
    other[:4] = 0
    assert np.array_equal(prepare(image, triangle), prepare(other, triangle))
    inside = prepare(image, triangle)[0, :, 4, 4]  # 1.5 pixels by 1.67 each, from 8, 4 on
    exact = (image[11, 14] / 255 - np.array(triangle.mean)) / np.array(triangle.std)
    assert np.allclose(inside, exact, atol=0.1)
    seen = visible(64, 48, triangle)
    assert seen is not None
    assert (bool(seen[4, 8]), bool(seen[40, 50]), bool(seen[3, 8])) == (True, False, False)
    for other_size in (image[:20], gradient(128, 96)):
        with pytest.raises(ImageError, match="resolution or crop has changed"):
            prepare(other_size, triangle)


def test_a_picture_with_hidden_places_keeps_its_scale() -> None:
    data = encoded(Image.fromarray(gradient(1024, 768)), "JPEG")
    sized = {"schema_version": 2, "source_size": (1024, 768)}
    assert decode(data, spec(**sized, hidden=[[(0, 0), (10, 0), (10, 10)]])).shape == (768, 1024, 3)


def test_areas_and_tiles_must_not_be_passed_over() -> None:
    square = [(10, 10), (30, 10), (30, 40), (10, 40)]
    with pytest.raises(ValidationError, match="need schema_version 2"):
        spec(source_size=(64, 48), hidden=[square])
    with pytest.raises(ValidationError, match="need schema_version 2"):
        spec(tiles=Tiles(columns=2, rows=1))
    with pytest.raises(ValidationError, match="need source_size"):
        spec(schema_version=2, region_polygon=square)
    with pytest.raises(ValidationError, match="cross each other"):
        spec(**SIZED, hidden=[[square[0], square[2], square[1], square[3]]])
