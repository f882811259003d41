"""Pictures of where a defect is, beside the images or in MVTec AD's folders: what the trainer makes of them."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from contracts.bundle import Licence
from contracts.errors import DatasetError
from contracts.preprocessing import Preprocessing, Tiles
from trainer.dataset import Dataset, read, read_manifest
from trainer.marks import boxes_of, placed, shown_defects
from trainer.masks import boxes_in
from trainer.snapshot import load_snapshot, take_snapshot
from trainer.thumbnail import thumbnail

WIDTH, HEIGHT = 60, 40
LICENCE = Licence(licence="own", owner="test", permitted_use="test")


def save(path: Path, pixels: NDArray[np.generic]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def part(path: Path, number: int) -> Path:
    return save(path, np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH)))


def drawn(*boxes: tuple[int, int, int, int], value: int = 255) -> NDArray[np.uint8]:
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    for left, top, right, bottom in boxes:
        pixels[top:bottom, left:right] = value
    return pixels


@pytest.fixture
def masked(tmp_path: Path) -> Path:
    """A manifest of 12 parts, every second one with a pit and a mask of it; the others' masks are black, or none."""
    rows = ["path,label,mask"]
    for number in range(12):
        part(tmp_path / f"{number}.png", number)
        pit = number % 2 == 1
        save(tmp_path / "masks" / f"{number}.png", drawn((5 + number, 7, 15 + number, 13)) if pit else drawn())
        named = "" if number == 0 else f"masks/{number}.png"
        rows.append(f"{number}.png,{'pit' if pit else 'good'},{named}")
    path = tmp_path / "manifest.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_mask_teaches_tiles_as_boxes_do(masked: Path) -> None:
    examples = read_manifest(masked).examples
    assert [boxes_of(example) for example in examples[:4]] == [(), ((6, 7, 16, 13),), (), ((8, 7, 18, 13),)]
    spec = Preprocessing(
        schema_version=2, width=32, height=32, mean=(0.5,) * 3, std=(0.5,) * 3, tiles=Tiles(columns=2, rows=1)
    )
    shown = shown_defects(examples[:2], spec)
    assert bool(shown[0].isnan().all())
    assert shown[1].tolist() == [1.0, 0.0]


def test_boxes_that_are_said_count_more_than_a_mask(masked: Path) -> None:
    lines = masked.read_text().splitlines()
    masked.write_text("\n".join([f"{lines[0]},bbox_xyxy", f"{lines[2]},1 2 3 4", *(f"{row}," for row in lines[3:])]))
    assert boxes_of(read_manifest(masked).examples[0]) == ((1, 2, 3, 4),)


def test_places_are_boxes_and_pieces_that_nearly_touch_are_one(tmp_path: Path) -> None:
    pixels = drawn((2, 2, 8, 8), (10, 4, 14, 6), (30, 20, 45, 40))
    pixels[0, 50] = 255  # a slip of the brush
    path = save(tmp_path / "mask.png", pixels)
    assert boxes_in(path, (WIDTH, HEIGHT)) == ((2, 2, 14, 8), (30, 20, 45, 40))


def test_boxes_of_a_large_mask_are_exact_and_its_places_not_mixed(tmp_path: Path) -> None:
    pixels = np.zeros((1100, 2100), np.uint8)
    pixels[101:999, 203:207] = pixels[101:105, 203:1501] = 255  # an angle
    pixels[501:511, 1001:1013] = 255  # within its box
    path = save(tmp_path / "mask.png", pixels)
    assert boxes_in(path, (2100, 1100)) == ((203, 101, 1501, 999), (1001, 501, 1013, 511))


@pytest.mark.parametrize("value", [1, 3, 255])
def test_a_mask_may_number_classes(tmp_path: Path, value: int) -> None:
    assert boxes_in(save(tmp_path / "mask.png", drawn((3, 4, 9, 11), value=value)), (WIDTH, HEIGHT)) == ((3, 4, 9, 11),)


@pytest.mark.parametrize("value", [1, 300, 65_535])
def test_numbers_of_a_mask_may_have_16_bits(tmp_path: Path, value: int) -> None:
    Image.fromarray(drawn((5, 5, 20, 15)).astype(np.uint16) // 255 * value).save(tmp_path / "mask.png")
    assert boxes_in(tmp_path / "mask.png", (WIDTH, HEIGHT)) == ((5, 5, 20, 15),)


def test_every_colour_of_a_palette_but_black_is_a_mark(tmp_path: Path) -> None:
    picture = Image.fromarray(drawn((5, 5, 20, 15), value=1) + drawn((30, 20, 50, 35), value=2))
    picture.putpalette((0, 0, 0, 128, 0, 0, 64, 0, 0))  # as of PASCAL VOC
    picture.save(tmp_path / "mask.png")
    assert boxes_in(tmp_path / "mask.png", (WIDTH, HEIGHT)) == ((5, 5, 20, 15), (30, 20, 50, 35))


def test_soft_edges_of_a_mask_are_cut_at_the_half(tmp_path: Path) -> None:
    pixels = np.maximum(drawn((2, 2, 20, 20), value=90), drawn((4, 4, 18, 18)))
    assert boxes_in(save(tmp_path / "mask.png", pixels), (WIDTH, HEIGHT)) == ((4, 4, 18, 18),)


SHAPE = drawn((5, 5, 20, 15))
WHITE = np.full_like(SHAPE, 255)


@pytest.mark.parametrize(
    ("mode", "channels", "boxes"),
    [
        ("RGBA", (WHITE, WHITE, WHITE, SHAPE), ((5, 5, 20, 15),)),
        ("RGBA", (drawn(), drawn(), drawn(), SHAPE), ((5, 5, 20, 15),)),
        ("LA", (WHITE, SHAPE), ((5, 5, 20, 15),)),
        ("RGBA", (WHITE, WHITE, WHITE, drawn()), ()),
        ("RGBA", (drawn(), drawn(), drawn(), WHITE), ()),
        ("RGBA", (SHAPE, SHAPE, SHAPE, WHITE), ((5, 5, 20, 15),)),
        ("RGBA", (SHAPE, SHAPE, SHAPE, drawn((5, 5, 12, 15))), ((5, 5, 12, 15),)),  # partly rubbed out
        ("LA", (drawn((5, 5, 20, 15), value=1), SHAPE), ((5, 5, 20, 15),)),
    ],
)
def test_what_is_transparent_marks_nothing_and_of_one_colour_the_alpha_is_the_shape(
    tmp_path: Path, mode: str, channels: tuple[NDArray[np.uint8], ...], boxes: tuple[tuple[int, ...], ...]
) -> None:
    Image.merge(mode, [Image.fromarray(channel) for channel in channels]).save(tmp_path / "mask.png")
    assert boxes_in(tmp_path / "mask.png", (WIDTH, HEIGHT)) == boxes


def test_a_palette_may_have_a_transparent_colour(tmp_path: Path) -> None:
    picture = Image.fromarray(drawn((5, 5, 20, 15), value=1))
    picture.putpalette((255, 255, 255, 255, 0, 0))
    picture.save(tmp_path / "mask.png", transparency=0)
    assert boxes_in(tmp_path / "mask.png", (WIDTH, HEIGHT)) == ((5, 5, 20, 15),)


def rubbed_out(path: Path) -> None:
    Image.merge("LA", [Image.fromarray(SHAPE), Image.fromarray(255 - SHAPE)]).save(path)


def noise(path: Path) -> None:
    save(path, drawn(*((left, top, left + 1, top + 1) for left in range(0, WIDTH, 4) for top in range(0, HEIGHT, 4))))


def bomb(path: Path) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (Path.unlink, r"cannot be read .*'mask' names a picture.* put it back, or empty the cell"),
        (lambda path: save(path, drawn()[:20]), "has 60 x 20 pixels, its image 60 x 40: .* make it anew"),
        (lambda path: path.write_bytes(b"no picture"), "is not usable: not an image .*; save it as PNG"),
        (
            lambda path: Image.fromarray(drawn()).save(path, "JPEG"),
            "is not usable: not an image in one of the formats PNG",
        ),
        (noise, "marks 150 places apart from each other, more than 100"),
        (bomb, "is not usable: .*; save it as PNG"),
        (rubbed_out, "is not usable: what it marks is transparent, .*: flatten it; save it as PNG"),
    ],
    ids=["gone", "size", "text", "jpeg", "noise", "bomb", "rubbed out"],
)
def test_a_mask_that_cannot_be_used_is_named_with_its_row(
    masked: Path, spoil: Callable[[Path], object], said: str
) -> None:
    spoil(masked.parent / "masks" / "3.png")
    with pytest.raises(DatasetError, match=rf"row 5: the mask .*3\.png {said}"):
        read_manifest(masked)


def test_a_snapshot_keeps_the_boxes_when_the_masks_are_gone(masked: Path, tmp_path: Path) -> None:
    snapshot = take_snapshot(read_manifest(masked), licence=LICENCE, seed=0)
    folder = snapshot.save(tmp_path / "workspace")
    for path in (masked.parent / "masks").iterdir():
        path.unlink()
    again = load_snapshot(folder)
    assert again.hash == snapshot.hash
    assert sum(bool(boxes_of(example)) for example in again.examples) == 6


def test_a_changed_mask_is_another_snapshot(masked: Path) -> None:
    before = take_snapshot(read_manifest(masked), licence=LICENCE, seed=0).hash
    save(masked.parent / "masks" / "3.png", drawn((30, 7, 44, 13)))
    assert take_snapshot(read_manifest(masked), licence=LICENCE, seed=0).hash != before


def test_mvtec_folders_give_classes_and_masks(tmp_path: Path) -> None:
    for number, (name, boxes) in enumerate(
        [("train/good/000", None), ("train/good/001", None), ("test/good/000", None),
         ("test/crack/000", (3, 4, 9, 11)), ("test/crack/001", (20, 4, 30, 12)), ("test/dirt/000", (1, 1, 8, 8)),
         ("test/dirt/001", None)]
    ):  # fmt: skip
        part(tmp_path / f"{name}.png", number)
        if boxes:
            _, label, stem = name.split("/")
            save(tmp_path / "ground_truth" / label / f"{stem}_mask.png", drawn(boxes))
    save(tmp_path / "ground_truth" / "good" / "001.png", drawn((1, 1, 5, 5)))  # of test/good/001, which is not there
    dataset: Dataset = read(tmp_path)
    assert {example.label for example in dataset.examples} == {"crack", "dirt", "good"}
    found = {"/".join(example.path.parts[-3:]): boxes_of(example) for example in dataset.examples}
    assert found == {
        "train/good/000.png": (), "train/good/001.png": (), "test/good/000.png": (),
        "test/crack/000.png": ((3, 4, 9, 11),), "test/crack/001.png": ((20, 4, 30, 12),),
        "test/dirt/000.png": ((1, 1, 8, 8),), "test/dirt/001.png": (),
    }  # fmt: skip


def test_a_class_may_be_called_train_where_there_are_no_masks(tmp_path: Path) -> None:
    for number, name in enumerate(["train/a/1", "train/b/2", "test/1", "test/2"]):
        part(tmp_path / f"{name}.png", number)
    assert read(tmp_path).labels() == ("test", "train")


def test_a_mark_is_framed_in_a_reports_picture(masked: Path) -> None:
    example = read_manifest(masked).examples[1]
    assert placed(example) == ((6 / WIDTH, 7 / HEIGHT, 16 / WIDTH, 13 / HEIGHT),)
    save(example.path, np.full((HEIGHT, WIDTH), 100))
    _, _, data = thumbnail(example.path, placed(example)).partition(",")
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))).astype(int)
    orange = picture[:, :, 0] - picture[:, :, 2] > 60
    assert orange[5:15, 3:20].any()
    assert not orange[:, 30:].any()
    unclear = replace(example, attributes={"bbox_xyxy": "somewhere"})
    assert placed(unclear) == (), "a report is not refused for a mark that nobody asked for"
