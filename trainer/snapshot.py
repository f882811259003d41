"""A snapshot: exactly which images, labels, splits and permissions a model was made from, under a content hash.

It lies in `<workspace>/snapshots/<hash>/` as `manifest.csv` and `snapshot.json`. The hash covers what the images
contain, what they are called and how they are split, not where they lie.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from contracts.bundle import Licence
from contracts.errors import DatasetError
from runtime.durable import beside, write_whole
from trainer.dataset import KNOWN_COLUMNS, SPLITS, Dataset, Example, Split, read_manifest, readable
from trainer.licence import strictest
from trainer.pins import Pins, saved_rows
from trainer.split import group_of, split

SplitWay = Literal["", "group", "time", "stated"]
"""What the first split of a line of snapshots went by; `stated`: the manifest said it; empty: nobody wrote it down."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every example has a split. `parent` is the hash of the snapshot that this one grew from."""

    examples: tuple[Example, ...]
    licence: Licence
    parent: str | None = None
    split_by: SplitWay = field(default="", compare=False)

    @property
    def hash(self) -> str:
        """SHA-256 over the sorted rows (content, label, group, site, split, attributes) and the licence."""
        rows = sorted(
            [e.sha256, e.label, e.group, e.site, str(e.split), json.dumps(e.attributes, sort_keys=True)]
            for e in self.examples
        )
        return _hash({"rows": rows, "licence": self.licence.model_dump()})

    @property
    def split_hash(self) -> str:
        """SHA-256 over which image is in which split."""
        return _hash(sorted([example.sha256, str(example.split)] for example in self.examples))

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that are trained on, sorted: the order of the logits."""
        return tuple(sorted({example.label for example in self.examples}))

    def of(self, *splits: Split) -> tuple[Example, ...]:
        """The examples of these splits, in order."""
        return tuple(example for example in self.examples if example.split in splits)

    def pinned(self) -> dict[str, Split]:
        """The split of every group and every image (by SHA-256), for the next snapshot. Groups that are trained on may
        stay so, also those that a retrain let rest; `gate` pins none."""
        return {
            key: "train" if e.split == "rest" else e.split
            for e in self.examples
            if e.split is not None and e.split != "gate"
            for key in (group_of(e), e.sha256)
        }

    def counts(self) -> dict[str, dict[str, int]]:
        """Examples by split and label."""
        return {
            name: dict(Counter(example.label for example in chosen)) for name in SPLITS if (chosen := self.of(name))
        }

    def save(self, workspace: Path) -> Path:
        """Write the snapshot; saving the same one again changes nothing. Returns its folder."""
        folder = workspace / "snapshots" / self.hash
        manifest = beside(folder / "manifest.csv")
        write_manifest(manifest, self.examples, (*KNOWN_COLUMNS, "sha256"))
        os.replace(manifest, folder / "manifest.csv")  # whole at any time: trainings beside this one read it
        about = {"schema_version": 1, "hash": self.hash, "split_hash": self.split_hash, "parent": self.parent,
                 "split_by": self.split_by, "licence": self.licence.model_dump(), "counts": self.counts()}  # fmt: skip
        write_whole(folder / "snapshot.json", json.dumps(about, indent=1) + "\n")
        return folder


def write_manifest(path: Path, examples: Sequence[Example], columns: Sequence[str] = KNOWN_COLUMNS) -> None:
    """A CSV that `read_manifest` reads back: every example with these columns, and then all those of its own."""
    own = dict.fromkeys(key for example in examples for key in example.attributes)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*columns, *own], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(_row(example) for example in examples)


def take_snapshot(
    dataset: Dataset, *, licence: Licence, seed: int, parent: Snapshot | None = None, pins: Pins | None = None,
    split_by: SplitWay = "group",
) -> Snapshot:  # fmt: skip
    """The dataset, split 70/15/15 by group where it states no split; `split_by` is for the card. What `pins` settle
    stays in its split. With a parent its groups keep theirs before all, and its licence and the name of its split are
    inherited. Raises DatasetError when a class has no image to train on, and without a parent where a group cannot keep
    its split (see `Pins.objections`)."""
    pins = pins or Pins()
    if parent is None:
        pins.refuse(dataset.examples, dataset.source)
    examples = split(dataset.examples, seed=seed, pinned={**pins.splits(), **(parent.pinned() if parent else {})})
    trained = {example.label for example in examples if example.split == "train"}
    elsewhere = ", or train in another --workspace" if pins.tested else ""
    if missing := sorted(set(dataset.labels()) - trained):
        raise DatasetError(
            f"{dataset.source}: no image of class {missing[0]!r} is left to train on: all of them are in groups kept "
            f"for validation or test; add images from other groups{elsewhere}"
        )
    if not any(example.split == "test" for example in examples):
        raise DatasetError(
            f"{dataset.source}: no image is left for the test; add images, at least three of each class{elsewhere}"
        )
    if parent is None:
        stated = split_by == "group" and all(example.split is not None for example in dataset.examples)
        return Snapshot(examples, licence=licence, split_by="stated" if stated else split_by)
    grown = Snapshot(
        examples, licence=strictest([parent.licence, licence]), parent=parent.hash, split_by=parent.split_by
    )
    return parent if grown.hash == parent.hash else grown  # nothing new: no snapshot is its own parent


def load_snapshot(folder: Path) -> Snapshot:
    """The snapshot saved in `folder`, every image checked against its hash. Raises DatasetError when it differs."""
    try:
        about: Mapping[str, Any] = json.loads((folder / "snapshot.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise DatasetError(f"{folder} is not a snapshot: {error}") from error
    examples = _verified(read_manifest(folder / "manifest.csv", masks=False).examples)
    snapshot = Snapshot(
        examples,
        licence=Licence.model_validate(about["licence"]),
        parent=about["parent"],
        split_by=about.get("split_by", ""),
    )
    if snapshot.hash != about["hash"]:
        raise DatasetError(f"{folder} was changed after it was saved (hash {snapshot.hash}); take a new snapshot")
    return snapshot


def learned_images(folder: Path) -> set[str]:
    """SHA-256 of the images in that snapshot that a model may have learned from or been chosen by; the pictures
    themselves need not be there any more. Raises DatasetError where there is no snapshot."""
    return {row["sha256"] for row in saved_rows(folder) if row["split"] in ("train", "validation")}


def tested_images(folder: Path) -> tuple[tuple[Example, ...], int]:
    """The test images of that snapshot that are still as they were, and how many are gone or changed. Raises
    DatasetError where there is no snapshot."""
    found, lost = [], 0
    for row in (row for row in saved_rows(folder) if row["split"] == "test"):
        path = folder / row["path"]
        try:
            same = readable(path) == row["sha256"]
        except DatasetError:
            same = False
        lost += not same
        if same:
            own = {key: value for key, value in row.items() if value and key not in (*KNOWN_COLUMNS, "sha256")}
            found.append(Example(path, row["label"], row["group"], row.get("site", ""), "test", own, row["sha256"]))
    return tuple(found), lost


def find_snapshot(workspace: Path, snapshot_hash: str) -> Snapshot:
    """The snapshot of that hash in a workspace."""
    return load_snapshot(workspace / "snapshots" / snapshot_hash)


def _verified(examples: Sequence[Example]) -> tuple[Example, ...]:
    verified = []
    for example in examples:
        attributes = {key: value for key, value in example.attributes.items() if key != "sha256"}
        if example.attributes.get("sha256") != example.sha256:
            raise DatasetError(f"{example.path} has changed since the snapshot was taken; restore it")
        verified.append(replace(example, attributes=attributes))
    return tuple(verified)


def _row(example: Example) -> dict[str, str]:
    known = {"path": str(example.path.resolve()), "label": example.label, "site": example.site, "group": example.group,
             "split": str(example.split), "sha256": example.sha256}  # fmt: skip
    return {**example.attributes, **known}


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
