"""`lineside correct`: labels that turned out wrong are put right in what a run was trained from."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from contracts.errors import ConfigurationError, DatasetError
from trainer.dataset import Example
from trainer.snapshot import write_manifest
from trainer.trained import load_run

REMOVED = ""
"""Written as the label of an image that shall not be used any more."""


def run_correct(run: Path, corrections: Path, out: Path) -> None:
    """Write the manifest of the run's images with the corrected labels, every image in its split, as `out`."""
    snapshot = load_run(run).snapshot
    wanted = read_corrections(corrections)
    examples, changed = corrected(snapshot.examples, wanted)
    if not changed:
        raise DatasetError(f"{corrections} changes nothing: every label in it is what {run} was trained with already")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_manifest(out, examples)
    removed = len(snapshot.examples) - len(examples)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{changed - removed} labels corrected, {removed} images removed: {out}")
    console.print(f"train again: lineside train {out} --out FOLDER (test images stay test images)")


def read_corrections(path: Path) -> dict[Path, str]:
    """Image -> label of a CSV with the columns `path` and `label`, as `failures.csv` of a run is one; an empty label
    removes the image. Raises DatasetError for a file that cannot be read, a missing column or an image that gets two
    labels."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be read: {error.strerror}; name the CSV that a run's report.html saves, or its failures.csv"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read as a CSV: {error}; save it as CSV in UTF-8") from error
    found: dict[Path, str] = {}
    for number, row in enumerate(rows, start=2):
        if not row.get("path") or row.get("label") is None:
            raise DatasetError(f"{path}, row {number}: the columns `path` and `label` are needed")
        image, label = (path.parent / row["path"]).resolve(), row["label"].strip()
        if found.setdefault(image, label) != label:
            raise DatasetError(f"{path}, row {number}: {image} is called {found[image]!r} and {label!r}")
    return found


def corrected(examples: Sequence[Example], wanted: Mapping[Path, str]) -> tuple[tuple[Example, ...], int]:
    """The examples with their right labels, without the removed ones, and how many of them changed. Raises DatasetError
    for an image that is not among them, ConfigurationError for a class that none of them has."""
    known, labels = {example.path.resolve() for example in examples}, {example.label for example in examples}
    if strangers := sorted(wanted.keys() - known):
        raise DatasetError(
            f"{strangers[0]} is none of the run's images ({len(strangers)} such); take its own failures.csv"
        )
    if unknown := sorted(set(wanted.values()) - labels - {REMOVED}):
        raise ConfigurationError(
            f"{unknown[0]!r} is none of the classes {', '.join(sorted(labels))}; correct the spelling"
        )
    found, changed = [], 0
    for example in examples:
        label = wanted.get(example.path.resolve(), example.label)
        changed += label != example.label
        if label != REMOVED:
            found.append(replace(example, label=label))
    return tuple(found), changed
