"""What the trainer says about the files that a user gives it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contracts.errors import DatasetError
from trainer.dataset import read, read_folder, read_manifest


def _image(path: Path, value: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((20, 24, 3), value, dtype=np.uint8)).save(path)
    return path


def _manifest(folder: Path, header: str, *rows: str) -> Path:
    for number in range(6):
        _image(folder / f"{number}.png", 10 * number)
    path = folder / "manifest.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


ROWS = ("0.png,good", "1.png,good", "2.png,bad", "3.png,bad")


def test_manifest_keeps_unknown_columns_as_attributes(tmp_path: Path) -> None:
    rows = [f"{row},3,g{i}" for i, row in enumerate(ROWS)]
    dataset = read_manifest(_manifest(tmp_path, "path,label,severity,group", *rows))
    assert [example.label for example in dataset.examples] == ["good", "good", "bad", "bad"]
    assert dataset.examples[2].attributes == {"severity": "3"}
    assert dataset.examples[2].group == "g2"
    assert len({example.sha256 for example in dataset.examples}) == 4


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("path,lable", "'lable' looks like 'label'"),
        ("Path,label", "'Path' looks like 'path'"),
        ("file,label", "'path'"),
    ],
)
def test_missing_or_misspelt_column_is_named(tmp_path: Path, header: str, named: str) -> None:
    with pytest.raises(DatasetError, match=named):
        read_manifest(_manifest(tmp_path, header, *ROWS))


def test_near_miss_of_an_optional_column_is_an_error_and_not_an_attribute(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="'groups' looks like 'group'"):
        read_manifest(_manifest(tmp_path, "path,label,groups", *(f"{row},a" for row in ROWS)))


def test_every_missing_file_is_named_with_its_row(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"row 3: .*lost\.png.*row 5: .*gone\.png"):
        read_manifest(_manifest(tmp_path, "path,label", ROWS[0], "lost.png,good", ROWS[1], "gone.png,bad"))


def test_unreadable_image_is_named(tmp_path: Path) -> None:
    manifest = _manifest(tmp_path, "path,label", *ROWS)
    (tmp_path / "2.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"2\.png is not a usable image"):
        read_manifest(manifest)


def test_class_with_one_example_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="one image only of class 'bad'"):
        read_manifest(_manifest(tmp_path, "path,label", *ROWS[:3]))


def test_same_picture_under_two_labels_is_refused(tmp_path: Path) -> None:
    manifest = _manifest(tmp_path, "path,label", *ROWS, "4.png,bad")
    _image(tmp_path / "4.png", 0)
    with pytest.raises(DatasetError, match="same image"):
        read_manifest(manifest)


def test_same_picture_twice_counts_once(tmp_path: Path) -> None:
    assert len(read_manifest(_manifest(tmp_path, "path,label", *ROWS, ROWS[0])).examples) == 4


def test_empty_label_and_wrong_split_are_named_together(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"label is empty.*split 'tset'"):
        read_manifest(_manifest(tmp_path, "path,label,split", "0.png,,train", "1.png,good,tset"))


def test_folder_per_class(tmp_path: Path) -> None:
    for number in range(3):
        _image(tmp_path / "good" / f"{number}.png", number)
        _image(tmp_path / "bad" / "nested" / f"{number}.jpg", 100 + 20 * number)
    _image(tmp_path / ".cache" / "x" / "ignored.png", 9)
    _image(tmp_path / "stray.png", 9)
    dataset = read(tmp_path)
    assert dataset.labels() == ("bad", "good")
    assert len(dataset.examples) == 6


def test_folder_without_class_folders_says_what_to_do(tmp_path: Path) -> None:
    _image(tmp_path / "a.png", 1)
    with pytest.raises(DatasetError, match="make one per class"):
        read_folder(tmp_path)


def test_missing_manifest_is_a_dataset_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot read the manifest"):
        read(tmp_path / "nothing.csv")
