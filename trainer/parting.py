"""Which images a training of a workspace learns, chooses by and tests on: the one answer for training, check and
ranking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from contracts.bundle import Licence
from contracts.errors import ConfigurationError
from trainer.dataset import Dataset, Example, checked
from trainer.pins import Pins, read_pins
from trainer.raters import merge
from trainer.snapshot import Snapshot, take_snapshot
from trainer.split import by_time, split

SplitBy = Literal["group", "time"]


@dataclass(frozen=True, slots=True)
class Parting:
    """`only_site`: the rows of one site (None: all). Without a `workspace` nothing is settled yet."""

    seed: int = 0
    only_site: str | None = None
    by: SplitBy = "group"
    workspace: Path | None = None

    def pins(self) -> Pins:
        """What the workspace has settled by now."""
        return read_pins(self.workspace)

    def snapshot(self, dataset: Dataset, licence: Licence) -> Snapshot:
        """What is trained on. Raises ConfigurationError for a site without rows, and DatasetError where too little is
        left, a time is missing, or a group would have to leave its split."""
        pins = self.pins()
        if self.only_site is not None:
            dataset = checked(self.of_site(dataset.examples, dataset.source), dataset.source)
        if self.by == "time":
            dataset = replace(dataset, examples=by_time(dataset.examples, pinned=pins.splits()))
        return take_snapshot(dataset, licence=licence, seed=self.seed, pins=pins, split_by=self.by)

    def of_site(self, examples: Sequence[Example], source: str) -> tuple[Example, ...]:
        """The rows that count. Raises ConfigurationError where there are none of the site."""
        if self.only_site is None:
            return tuple(examples)
        if chosen := tuple(example for example in examples if example.site == self.only_site):
            return chosen
        sites = sorted({example.site for example in examples})
        raise ConfigurationError(f"{source} has no rows of site {self.only_site!r}; it has {', '.join(sites)}")

    def parted(self, examples: Sequence[Example], source: str, pins: Pins) -> tuple[Example, ...]:
        """Each image once, in the split that `snapshot` gives it, whatever else is wrong with them. Raises
        ConfigurationError for a site without rows, DatasetError where a time is missing."""
        unique: dict[str, Example] = {}
        for example in merge(examples)[0]:
            unique.setdefault(example.sha256, example)
        chosen = self.of_site(tuple(unique.values()), source)
        if self.by == "time":
            chosen = by_time(chosen, pinned=pins.splits())
        return split(chosen, seed=self.seed, pinned=pins.splits())
