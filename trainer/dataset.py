"""What the user's files say: a manifest CSV or a folder per class becomes a checked `Dataset`."""

from __future__ import annotations

import csv
import difflib
import hashlib
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from PIL import Image

from contracts.errors import DatasetError
from runtime.preprocessing import ImageError, decode_plain
from trainer.layout import MASKS, label_in, mask_in
from trainer.masks import marks_in

Split = Literal["train", "validation", "test", "gate", "rest"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test", "gate", "rest")
"""Labels of `gate` images are for the monitor's gate alone: they are never trained on, and choose nothing. `rest`:
training images that a retrain did not draw (see `replay`)."""

KNOWN_COLUMNS = ("path", "label", "site", "group", "split")
REQUIRED_COLUMNS = ("path", "label")
BOXES_COLUMN, MASK_COLUMN = "bbox_xyxy", "mask"
"""Where the defect is: boxes as text (see `marks`), or a picture of it, of which boxes are made where none are said."""

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_CHECKED_SIDE = 16  # pixels: a large JPEG need not be decoded in full to know that it can be


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled image. `group` is what a split must not part; empty: the image stands for itself."""

    path: Path
    label: str
    group: str = ""
    site: str = ""
    split: Split | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled images in the order of the manifest, each of them readable, with `source` for messages."""

    examples: tuple[Example, ...]
    source: str

    def only(self, keep: Callable[[Example], bool]) -> Dataset:
        """The examples for which `keep` holds, checked again. Raises DatasetError when too few remain."""
        return checked(tuple(filter(keep, self.examples)), self.source)

    def labels(self) -> tuple[str, ...]:
        """The classes, sorted."""
        return tuple(sorted({example.label for example in self.examples}))


@dataclass(frozen=True, slots=True)
class Gathered:
    """The usable rows of a manifest or files of a folder, and for every other one a sentence that names it."""

    source: str
    examples: tuple[Example, ...]
    problems: tuple[str, ...]

    def sound(self) -> tuple[Example, ...]:
        """The examples. Raises DatasetError, with the first of them, where there are problems."""
        if self.problems:
            more = f" (and {len(self.problems) - 5} more)" if len(self.problems) > 5 else ""
            raise DatasetError(f"{self.source}: {'; '.join(self.problems[:5])}{more}")
        return self.examples


def read_manifest(manifest: Path, *, masks: bool = True) -> Dataset:
    """The dataset of a CSV with at least the columns `path` (relative to the manifest) and `label`.

    `site`, `group` and `split` are understood where they are there; with a column `rater` an image may have a row for
    each rater, and the label of most of them counts. A column `mask` names a picture of where the defect is, relative
    to the manifest, whose boxes become the attribute `bbox_xyxy` where the row has none; without `masks` it is a column
    like any other, as in a manifest that was written from examples. All other columns are kept as attributes. Raises
    DatasetError that names the offending column, row or file.
    """
    from trainer.raters import merge  # which works on examples

    examples, _ = merge(gather(manifest, masks=masks).sound())
    return checked(examples, str(manifest))


def read_rows(manifest: Path) -> tuple[Example, ...]:
    """The examples of a manifest as they are, without asking whether a model can be trained on them alone."""
    return gather(manifest).sound()


def read_folder(folder: Path, *, skip: Container[str] = ()) -> Dataset:
    """The dataset of a folder with one sub-folder per class (for example `good/` and `bad/`), searched recursively, or
    in the layout of MVTec AD (see `layout`): masks in `ground_truth` become boxes. Sub-folders named in `skip` are no
    classes."""
    return checked(gather(folder, skip=skip).sound(), str(folder))


def gather(source: Path, *, skip: Container[str] = (), masks: bool = True) -> Gathered:
    """What can be used of a manifest or of a folder with one sub-folder per class. Raises DatasetError where nothing
    can be read at all."""
    examples, problems = [], []
    for place, make in _folder_rows(source, skip) if source.is_dir() else _manifest_rows(source, masks):
        try:
            examples.append(make())
        except DatasetError as error:
            problems.append(f"{place}{error}")
    return Gathered(str(source), tuple(examples), tuple(problems))


def _manifest_rows(manifest: Path, masks: bool) -> Iterator[tuple[str, Callable[[], Example]]]:
    for number, row in _rows(manifest):
        yield f"row {number}: ", partial(_example, row, manifest.parent, masks)


def _folder_rows(folder: Path, skip: Container[str]) -> Iterator[tuple[str, Callable[[], Example]]]:
    found = False
    for path in _images(folder):
        label = label_in(folder, path)
        if label is not None and label not in skip:
            found = True
            yield "", partial(_labelled, path, label, mask_in(folder, path))
    if not found:
        raise DatasetError(
            f"{folder} has no sub-folder with images ({', '.join(IMAGE_SUFFIXES)}); make one per class ({MASKS} is for "
            "masks)"
        )


def _labelled(path: Path, label: str, mask: Path | None) -> Example:
    sha256 = readable(path)
    return Example(path=path, label=label, attributes=_marked(mask, path), sha256=sha256)


def _marked(mask: Path | None, image: Path) -> dict[str, str]:
    """The attribute that a mask makes."""
    return {BOXES_COLUMN: marks_in(mask, size_in(image))} if mask else {}


def read(source: Path) -> Dataset:
    """`read_folder` for a folder, `read_manifest` for a file."""
    return read_folder(source) if source.is_dir() else read_manifest(source)


def readable(path: Path) -> str:
    """SHA-256 of an image that can be decoded. Raises DatasetError otherwise."""
    try:
        data = path.read_bytes()
        decode_plain(data, _CHECKED_SIDE)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}); put the file back or remove its row") from error
    except ImageError as error:
        raise DatasetError(f"{path} is not a usable image: {error}; replace it or remove it") from error
    return hashlib.sha256(data).hexdigest()


def size_in(path: Path) -> tuple[int, int]:
    """Width and height of an image file, pixels, from its header. Raises DatasetError."""
    try:
        with Image.open(path) as image:
            return image.size
    except OSError as error:
        raise DatasetError(f"{path}: {error}") from error


def checked(examples: tuple[Example, ...], source: str) -> Dataset:
    """The dataset of `examples` once: at least two classes of at least two images, no image under two labels. An image
    that occurs twice with the same label is kept once."""
    unique: dict[str, Example] = {}
    for example in examples:
        other = unique.setdefault(example.sha256, example)
        if other.label != example.label:
            raise DatasetError(
                f"{source}: {other.path} and {example.path} are the same image, once labelled {other.label!r} and once "
                f"{example.label!r}; keep the right one"
            )
    counts = Counter(example.label for example in unique.values())
    if len(counts) < 2:
        raise DatasetError(f"{source}: only the classes {sorted(counts)}; at least two are needed, a good and a defect")
    if alone := sorted(label for label, count in counts.items() if count < 2):
        raise DatasetError(f"{source}: one image only of class {alone[0]!r}; add some (20 are a start) or remove it")
    return Dataset(tuple(unique.values()), source)


def _rows(manifest: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            check_columns(reader.fieldnames or (), str(manifest))
            for row in reader:
                yield reader.line_num, {key: value.strip() for key, value in row.items() if isinstance(key, str)}
    except OSError as error:
        raise DatasetError(f"cannot read the manifest {manifest}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{manifest} is not a CSV in UTF-8: {error}") from error


def columns_of(manifest: Path) -> tuple[str, ...]:
    """What its first row names. Raises DatasetError."""
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            return tuple(csv.DictReader(file).fieldnames or ())
    except OSError as error:
        raise DatasetError(f"cannot read the manifest {manifest}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{manifest} is not a CSV in UTF-8: {error}") from error


def check_columns(columns: Sequence[str], source: str) -> None:
    """Raises DatasetError where a required column is missing or a known one seems to be misspelt."""
    for known in KNOWN_COLUMNS:
        if known in columns:
            continue
        written = {column.strip().lower(): column for column in columns}
        near = difflib.get_close_matches(known, list(written), n=1, cutoff=0.8)
        if near:
            raise DatasetError(f"{source}: column {written[near[0]]!r} looks like {known!r}; rename it to {known!r}")
        if known in REQUIRED_COLUMNS:
            raise DatasetError(f"{source} has no column {known!r}; it has {', '.join(columns) or 'none'}")


def _example(row: dict[str, str], folder: Path, masks: bool) -> Example:
    if not row["path"] or not row["label"]:
        raise DatasetError(f"{'path' if not row['path'] else 'label'} is empty; fill it in or remove the row")
    split = row.get("split") or None
    if split is not None and split not in SPLITS:
        raise DatasetError(f"split {split!r} is none of {', '.join(SPLITS)}")
    path, sha256 = folder / row["path"], readable(folder / row["path"])
    said = {key: value for key, value in row.items() if value and key not in KNOWN_COLUMNS}
    mask = folder / said[MASK_COLUMN] if masks and MASK_COLUMN in said and BOXES_COLUMN not in said else None
    return Example(
        path=path,
        label=row["label"],
        group=row.get("group", ""),
        site=row.get("site", ""),
        split=split,
        attributes={**said, **_marked(mask, path)},
        sha256=sha256,
    )


def _images(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if len(inside) > 1 and path.suffix.lower() in IMAGE_SUFFIXES and not any(p.startswith(".") for p in inside):
            yield path
