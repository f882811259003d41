"""The two candidates that the demo plants: one that is worse, one that passes the gate and is wrong on the line.

The worse one has learned from labels of which most are shuffled. The wrong one has learned a rater's convention that
lost a kind of defect (where there are several kinds) or the faint defects (where there is one), and the gold set of the
same rater agrees with it: that is how a release passes its gate and is wrong on the line.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

_SHUFFLED_SHARE = 0.95


@dataclass(frozen=True)
class Row:
    """One image of a manifest."""

    path: Path
    label: str
    group: str
    severity: int


def read_rows(manifest: Path) -> list[Row]:
    """The rows of a manifest that the demo wrote."""
    with manifest.open(newline="", encoding="utf-8") as file:
        return [
            Row(manifest.parent / row["path"], row["label"], row["group"], int(row.get("severity") or 0))
            for row in csv.DictReader(file)
        ]


def write_rows(path: Path, rows: Sequence[Row]) -> Path:
    """A manifest of `rows`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "group", "severity"))
        writer.writerows((str(row.path.resolve()), row.label, row.group, str(row.severity)) for row in rows)
    return path


def lost_convention(rows: Sequence[Row], good: str) -> tuple[Callable[[Row], str], str]:
    """A rater's convention that calls some defects `good`, and its name in plain words."""
    kinds = sorted({row.label for row in rows} - {good})
    if len(kinds) > 1:
        lost = kinds[-1]
        return (lambda row: good if row.label == lost else row.label), f"{lost!r} counts as {good!r}"
    faintest = min((row.severity for row in rows if row.label != good), default=0)
    return (
        lambda row: good if row.severity <= faintest else row.label
    ), f"defects of severity {faintest} count as {good!r}"


def graded(rows: Sequence[Row], good: str, clearness: Callable[[Path], float]) -> list[Row]:
    """`rows`, where the only kind of defect has no severity, with one: 1 for the third of the defects that are least
    clear (`clearness`: a model's defect score), 2 for the others."""
    defects = [row for row in rows if row.label != good]
    if len({row.label for row in defects}) > 1 or any(row.severity for row in defects):
        return list(rows)
    seen = {row.path: clearness(row.path) for row in defects}
    faint = set(sorted(seen, key=lambda path: seen[path])[: len(seen) // 3])
    grade = {path: 1 if path in faint else 2 for path in seen}
    return [replace(row, severity=grade.get(row.path, 0)) for row in rows]


def shuffled(rows: Sequence[Row], seed: int) -> list[Row]:
    """`rows` with most labels shuffled among themselves."""
    rng = random.Random(seed)
    chosen = rng.sample(range(len(rows)), round(_SHUFFLED_SHARE * len(rows)))
    labels = [rows[index].label for index in chosen]
    rng.shuffle(labels)
    new = dict(zip(chosen, labels, strict=True))
    return [Row(row.path, new.get(index, row.label), row.group, row.severity) for index, row in enumerate(rows)]


def relabelled(rows: Sequence[Row], convention: Callable[[Row], str]) -> list[Row]:
    """`rows` as that rater labels them."""
    return [Row(row.path, convention(row), row.group, row.severity) for row in rows]
