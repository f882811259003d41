"""What the snapshots of a workspace have settled for good: no training there learns what one before it tests on.

A group is known by its name alone and an image by its content, whatever its site and product: sites that share a
workspace share this, and so do trainings on one site and on all of them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from contracts.errors import DatasetError
from trainer.dataset import Example, Split
from trainer.split import group_of, kept

REMEDY = (
    "a workspace keeps each group in the split that it once had: state no other one and name groups as before, or use "
    "another --workspace"
)


@dataclass(frozen=True, slots=True)
class Pins:
    """Groups, and images by SHA-256, that snapshots test on, choose by and train on; each with one such snapshot."""

    tested: Mapping[str, str] = field(default_factory=dict)
    validated: Mapping[str, str] = field(default_factory=dict)
    trained: Mapping[str, str] = field(default_factory=dict)

    def splits(self) -> dict[str, Split]:
        """The split that each of them keeps: test before validation before train."""
        found: dict[str, Split] = dict.fromkeys(self.trained, "train")
        found.update(dict.fromkeys(self.validated, "validation"))
        found.update(dict.fromkeys(self.tested, "test"))
        return found

    def torn(self, examples: Sequence[Example]) -> dict[str, tuple[str, str]]:
        """Groups that were tested on as well as trained on, as one or in parts, with such snapshots. They come of other
        names of groups, another kind of split, or trainings before a workspace kept its splits."""
        found = {}
        for group, keys in _keys(examples).items():
            tested, trained = sorted(keys & self.tested.keys()), sorted(keys & self.trained.keys())
            if tested and trained:
                found[group] = self.tested[tested[0]], self.trained[trained[0]]
        return found

    def objections(self, examples: Sequence[Example]) -> list[str]:
        """A sentence for each group that cannot keep its split, or for which these examples state another one."""
        torn = self.torn(examples)
        found = [
            f"the group {group} was tested on (snapshot {tested[:12]}) as well as trained on (snapshot {trained[:12]})"
            for group, (tested, trained) in torn.items()
        ]
        stays = kept(examples, self.splits())
        stated = {group_of(e): _stated(e) for e in examples if e.split not in (None, "gate")}
        for group, said in stated.items():
            if group not in torn and stays.get(group, said) != said:
                found.append(f"the group {group} is stated as {said}, but it is {stays[group]} in an earlier snapshot")
        return found

    def refuse(self, examples: Sequence[Example], source: str) -> None:
        """Raises DatasetError, naming the first group, where there are objections."""
        if said := self.objections(examples):
            raise DatasetError(f"{source}: {gist(said)}; {REMEDY}")


def gist(objections: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = f" (and {len(objections) - 1} more groups)" if len(objections) > 1 else ""
    return f"{objections[0]}{more}"


def read_pins(workspace: Path | None) -> Pins:
    """Of all snapshots in a workspace; of none where there is none. Raises DatasetError for one that is damaged."""
    found: dict[str, dict[str, str]] = {"test": {}, "validation": {}, "train": {}, "rest": {}, "gate": {}}
    for folder in snapshots_in(workspace) if workspace else ():
        for row in saved_rows(folder):
            of = found.setdefault(row["split"], {})
            for key in (row["group"] or row["sha256"], row["sha256"]):
                of.setdefault(key, folder.name)
    return Pins(found["test"], found["validation"], {**found["rest"], **found["train"]})


def snapshots_in(workspace: Path) -> Iterator[Path]:
    """Their folders, in the order of their names; one that was not finished is none."""
    yield from sorted(path.parent for path in (workspace / "snapshots").glob("*/snapshot.json"))


def saved_rows(folder: Path) -> list[dict[str, str]]:
    """The rows of a saved snapshot, without a look at its pictures. Raises DatasetError where it is none."""
    try:
        with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise DatasetError(f"{folder} is not a snapshot: {error}") from error
    if rows and not {"sha256", "split", "group"} <= set(rows[0]):
        raise DatasetError(f"{folder} is not a snapshot: its manifest lacks sha256, split or group")
    return rows


def _keys(examples: Sequence[Example]) -> dict[str, set[str]]:
    """Each group with itself and its images; the gate's are never trained on and count for nothing."""
    found: dict[str, set[str]] = {}
    for example in examples:
        if example.split != "gate":
            found.setdefault(group_of(example), {group_of(example)}).add(example.sha256)
    return found


def _stated(example: Example) -> str:
    return "train" if example.split == "rest" else str(example.split)
