"""Folders that say what their pictures are: one a class, or the layout of MVTec AD with its masks beside."""

from __future__ import annotations

from pathlib import Path

MASKS = "ground_truth"
"""The folder of masks: `ground_truth/CLASS/NAME_mask.png`, or without `_mask`, for `CLASS/NAME.*` and for
`test/CLASS/NAME.*`. Its pictures are no images of a part."""

_PARTS = ("train", "test")  # folders above the classes, where there are masks
_MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")


def label_in(folder: Path, path: Path) -> str | None:
    """The class of an image below `folder`; None for a mask, and for what lies in no class."""
    above = _above(folder, path)
    return above[0] if above else None


def mask_in(folder: Path, path: Path) -> Path | None:
    """The mask of an image, where there is one. What MVTec AD calls `train` has none: the same names are used again in
    `test`."""
    label = label_in(folder, path)
    if label is None or (_PARTS[0] == path.relative_to(folder).parts[0] != label):
        return None
    place = folder / MASKS / label
    names = (f"{path.stem}{mark}{suffix}" for mark in ("_mask", "") for suffix in _MASK_SUFFIXES)
    return next((place / name for name in names if (place / name).is_file()), None)


def _above(folder: Path, path: Path) -> tuple[str, ...]:
    """The folders between, from the class's on."""
    parts = path.relative_to(folder).parts[:-1]
    if not parts or not (folder / MASKS).is_dir():
        return parts
    if parts[0] == MASKS:
        return ()
    return parts[1:] if parts[0] in _PARTS else parts
