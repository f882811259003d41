"""Files and folders that are either wholly old or wholly new.

`write_durably` keeps that promise over a power cut, and costs two flushes of the disk. `write_whole` keeps it over the
death of the process alone: for files that can be made again, and for readers that must never see half of one.
"""

from __future__ import annotations

import os
from pathlib import Path


def write_durably(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace `path` by `data`: written beside it, flushed to disk, renamed over it, the rename flushed too.

    One writer at a time; what a killed writer left beside the file is overwritten by the next one. `mode` holds from
    the first byte on. Raises OSError.
    """
    partial = beside(path)
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
    move_durably(partial, path)


def write_whole(path: Path, data: str | bytes) -> None:
    """Replace `path` by `data` (text as UTF-8) in one step, without waiting for the disk.

    One writer at a time; a write that fails leaves nothing beside the file. Raises OSError.
    """
    partial = beside(path)
    try:
        partial.write_bytes(data.encode() if isinstance(data, str) else data)
        os.replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def beside(path: Path) -> Path:
    """Where the next content of `path` is written: hidden, in the same folder, which is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.partial")


def move_durably(partial: Path, path: Path) -> None:
    """Rename a finished file over `path`, its content and the rename on disk afterwards."""
    flush(partial)
    os.replace(partial, path)
    flush(path.parent)


def flush(path: Path) -> None:
    """Bring one file's content, or one folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_tree(folder: Path) -> None:
    """Bring everything below `folder`, and `folder` itself, to the disk; inner folders first."""
    for root, _, names in os.walk(folder, topdown=False):
        for name in names:
            flush(Path(root, name))
        flush(Path(root))
