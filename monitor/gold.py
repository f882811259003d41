"""The gold set: labelled images that no model is ever trained on, pinned with the first release of a site.

Their bytes are copied into the blob store, so nobody changes a gate by changing a folder. A person may replace the set;
that is a new version with a name and a reason, and labels given before it no longer count for the gate: they may follow
the older convention.
"""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from contracts.errors import DatasetError
from contracts.preprocessing import Preprocessing
from monitor.blobs import Blobs
from monitor.store.rollout_tables import GoldRow

REQUIRED = ("path", "label")
FORMATS: tuple[str, ...] = Preprocessing.model_fields["formats"].default

GoldExample = tuple[str, str, str]
"""(blob, label, name)"""


def read_gold(manifest: Path, blobs: Blobs) -> list[GoldExample]:
    """Copy the images that a CSV names (`path`, `label`; paths relative to it) into the store.

    Raises DatasetError naming the column, row or file; then nothing counts.
    """
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"the gold set {manifest} cannot be read: {error}") from error
    if not rows:
        raise DatasetError(f"the gold set {manifest} has no rows")
    for column in REQUIRED:
        if column not in rows[0]:
            near = difflib.get_close_matches(column, list(rows[0]), n=1)
            hint = f"; rename {near[0]!r}" if near else ""
            raise DatasetError(f"the gold set {manifest} lacks the column {column!r}{hint}")
    return [_example(manifest, number, row, blobs) for number, row in enumerate(rows, start=2)]


def _example(manifest: Path, number: int, row: dict[str, str], blobs: Blobs) -> GoldExample:
    label = (row["label"] or "").strip()
    if not 1 <= len(label) <= 64:
        raise DatasetError(f"{manifest}, line {number}: the label must have 1 to 64 characters, it is {label[:80]!r}")
    path = manifest.parent / row["path"]
    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.verify()
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{manifest}, line {number}: {path} is no readable image ({error})") from error
    return blobs.write(data), label, row["path"]


def pin_gold(
    session: Session,
    examples: Sequence[GoldExample],
    *,
    site: str,
    source: Path,
    base_snapshot: str | None,
    by: str,
    reason: str,
) -> int:
    """Make the examples the site's gold set; returns its version."""
    last = session.scalar(select(func.max(GoldRow.version)).where(GoldRow.site == site)) or 0
    session.add(
        GoldRow(
            site=site,
            version=last + 1,
            csv=str(source),
            examples=[list(example) for example in examples],
            base_snapshot=base_snapshot,
            by=by,
            reason=reason,
            at=datetime.now(UTC),
        )
    )
    session.flush()
    return last + 1


def current_gold(session: Session, site: str) -> GoldRow | None:
    """The version that counts; None before the first release."""
    query = select(GoldRow).where(GoldRow.site == site).order_by(GoldRow.version.desc()).limit(1)
    return session.scalars(query).first()


def pinned_blobs(session: Session, *, site: str | None = None) -> set[str]:
    """The images of every version of the gold sets."""
    query = select(GoldRow.examples)
    versions = session.scalars(query if site is None else query.where(GoldRow.site == site))
    return {blob for examples in versions for blob, _, _ in examples}
