"""The proof that no training of a workspace learns what another one tests on, for the card and the report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from contracts.errors import DatasetError
from trainer.pins import REMEDY, saved_rows, snapshots_in
from trainer.snapshot import Snapshot
from trainer.split import group_of


@dataclass(frozen=True, slots=True)
class Proof:
    """`groups` of the test, against `looked` earlier snapshots (None: no workspace was named) that test on `others`
    groups. `seen`: groups of this test that one of them trained on, and another one tested on: no training that keeps
    to its workspace makes such, so they are of the time before."""

    groups: int
    looked: int | None = None
    others: int = 0
    seen: int = 0

    def in_words(self) -> str:
        """What follows "test groups:" on the card.

        >>> Proof(6, looked=2, others=9).in_words()
        '6, trained on in none of 2 earlier snapshots of the workspace, whose 9 are not trained on here (checked)'
        """
        if self.looked is None:
            return f"{self.groups}; no earlier snapshot was looked through"
        if not self.looked:
            return f"{self.groups}, never trained on from now on in this workspace, whose first snapshot this is"
        earlier = f"{self.looked} earlier snapshot{'' if self.looked == 1 else 's'} of the workspace"
        told = f"trained on in none of {earlier}"
        if self.seen:
            told = f"{self.seen} of them trained on by other models, which look too good on them, among {earlier}"
        return f"{self.groups}, {told}, whose {self.others} are not trained on here (checked)"


def prove_pinned(snapshot: Snapshot, workspace: Path | None) -> Proof:
    """Looks through every other snapshot that is kept in the workspace, row by row.

    Raises DatasetError that names the first group that this one trains on and an earlier one tests on, or that this one
    tests on and an earlier one trained on. An image counts for its group.
    """
    tested, trained = _keys_of(snapshot, "test"), _keys_of(snapshot, "train")
    own = len({group_of(example) for example in snapshot.of("test")})
    if workspace is None:
        return Proof(own)
    looked, others, others_keys = 0, set[str](), set[str]()
    seen: dict[str, tuple[str, set[str]]] = {}
    for folder in snapshots_in(workspace):
        if folder.name == snapshot.hash:
            continue
        looked += 1
        for row in saved_rows(folder):
            group, keys = row["group"] or row["sha256"], {row["group"] or row["sha256"], row["sha256"]}
            if row["split"] == "test":
                others.add(group)
                others_keys |= keys
                if keys & trained:
                    raise DatasetError(
                        f"the group {group} is to be trained on, but snapshot {folder.name} tests on it; {REMEDY}"
                    )
            if row["split"] == "train" and keys & tested:
                seen[group] = folder.name, keys & tested
    for group, (name, keys) in seen.items():
        if not keys & others_keys:
            raise DatasetError(f"the group {group} is in this test, but snapshot {name} trained on it; {REMEDY}")
    return Proof(own, looked, len(others), len(seen))


def _keys_of(snapshot: Snapshot, split: str) -> set[str]:
    examples = [example for example in snapshot.examples if example.split == split]
    return {group_of(example) for example in examples} | {example.sha256 for example in examples}
