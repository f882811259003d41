"""Against forgetting, a successor learns the old images again: all of them, or a sample of whole groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from trainer.dataset import Example
from trainer.marks import boxes_of
from trainer.snapshot import Snapshot
from trainer.split import assign, group_counts, group_of


def replayed(grown: Snapshot, base: Snapshot, *, most: int | None, seed: int) -> Snapshot:
    """`grown` with about `most` of the training images of `base` (None: all) to learn from; the others get the split
    `rest`. They stay in the snapshot and are never tested on, and the next retrain draws anew. Groups are drawn whole,
    each class by its share; neither a class nor its marked images are left out. Validation, test and gate stay."""
    known = {example.sha256 for example in base.examples}
    old = [example for example in grown.of("train") if example.sha256 in known]
    if most is None or len(old) <= most:
        return grown
    drawn = _drawn(old, most / len(old), seed=seed)
    examples = tuple(
        replace(example, split="rest")
        if example.split == "train" and example.sha256 in known and group_of(example) not in drawn
        else example
        for example in grown.examples
    )
    return replace(grown, examples=examples, parent=base.hash)


def _drawn(old: Sequence[Example], share: float, *, seed: int) -> set[str]:
    """Groups to learn from."""
    counts = group_counts(old)
    chosen = assign(counts, {"train": share, "rest": 1 - share}, seed=seed)
    drawn = {group for group, part in chosen.items() if part == "train"}
    having: dict[tuple[str, bool], set[str]] = {}
    for example in old:
        having.setdefault(_kind(example), set()).add(group_of(example))
    for kind in sorted(having):  # in which a successor would otherwise learn nothing
        if not drawn & having[kind]:
            drawn.add(min(having[kind], key=lambda group: (sum(counts[group].values()), group)))
    return drawn


def _kind(example: Example) -> tuple[str, bool]:
    """Its class, and whether a defect is marked on it."""
    return example.label, bool(boxes_of(example))
