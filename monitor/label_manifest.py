"""Labels and their images as a manifest, for a process that learns from them or looks them over."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path

from monitor.blobs import Blobs
from monitor.store.label_tables import ImageRow, LabelRow

COLUMNS = ("path", "label", "group", "part_id", "source", "split", "captured_at")

_log = logging.getLogger(__name__)
_SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/bmp": ".bmp", "image/tiff": ".tif"}


def write_manifest(path: Path, rows: Sequence[tuple[LabelRow, ImageRow]], blobs: Blobs) -> int:
    """Write the manifest `path` and, beside it, `images/`, each named by its id; returns how many."""
    images = path.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    with draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for label, image in rows:
            name = f"{image.image_id}{_SUFFIXES.get(image.media_type, '')}"
            _place(blobs, image.blob, images / name)
            writer.writerow(
                {
                    "path": str(Path("images") / name),
                    "label": label.label,
                    "group": label.part_id,
                    "part_id": label.part_id,
                    "source": label.source,
                    "split": label.use,
                    "captured_at": image.triggered_at.astimezone(UTC).isoformat(),
                }
            )
    os.replace(draft, path)
    return len(rows)


def _place(blobs: Blobs, name: str, target: Path) -> None:
    """Give the process its own name for an image: a hard link where that works, else a copy."""
    if target.exists():
        return
    source = blobs.local_path(name)
    if source is not None:
        try:
            os.link(source, target)
        except OSError:
            _log.debug("no hard link to %s; copying", source)
        else:
            return
    target.write_bytes(blobs.read(name))
