"""Real images, stated before anything is measured: what trains the network, what is in control, and what comes then.

Half of the groups of the site that a line starts with (mono cells; exposure 1 of the tiles; the first ten days of the
spindle) train a network; the other half is the line in control, so that a picture watched is never one learned. What
comes then are the other sites, of the same tiles where there are such, or the days after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.accuracy.protocols import grouped_fold, read_set
from trainer.dataset import Dataset, Example

SETS = ("cells", "tiles", "spindle")
_OLD_CROP, PITTING_FROM = "crop-1130x460", "2020-09-05"


@dataclass(frozen=True)
class RealSet:
    """`learned` trains (its test part is what is in control); `shifts` are images after a real change, by its name."""

    name: str
    learned: Dataset
    control: tuple[Example, ...]
    shifts: dict[str, tuple[Example, ...]]


def real_set(data: Path, name: str) -> RealSet:
    """One of `SETS`."""
    return {"cells": _cells, "tiles": _tiles, "spindle": _spindle}[name](data)


def _cells(data: Path) -> RealSet:
    everything = read_set(data, "elpv")
    learned = grouped_fold(everything.only(lambda e: e.site == "mono"), fold=0, count=2)
    poly = tuple(e for e in everything.examples if e.site == "poly")
    return RealSet("cells", learned, _in_control(learned), {"poly": poly})


def _tiles(data: Path) -> RealSet:
    everything = read_set(data, "magnetic_tile")
    learned = grouped_fold(everything.only(lambda e: e.site == "exposure-1"), fold=0, count=2)
    control = _in_control(learned)
    tiles = {e.group for e in control}
    others = [f"exposure-{number}" for number in range(2, 7)]
    shifts = {site: tuple(e for e in everything.examples if e.site == site and e.group in tiles) for site in others}
    return RealSet("tiles", learned, control, shifts)


def _spindle(data: Path) -> RealSet:
    everything = read_set(data, "bsdata")
    first = everything.only(lambda e: e.attributes["captured_at"] < "2020-09-07")
    learned = grouped_fold(first, fold=0, count=2)
    unlearned = _in_control(learned)
    positions = {e.group for e in unlearned}
    later = [e for e in everything.examples if e.group in positions and day_of(e) >= PITTING_FROM]
    control = tuple(e for e in unlearned if day_of(e) < PITTING_FROM)
    pitting = tuple(e for e in later if e.attributes["camera_setup"] == _OLD_CROP)
    crop = tuple(e for e in later if e.attributes["camera_setup"] != _OLD_CROP and day_of(e) < "2020-09-10")
    return RealSet("spindle", learned, control, {"pitting": pitting, "new-crop": crop})


def day_of(example: Example) -> str:
    """The date of a picture of the spindle."""
    return example.attributes["captured_at"][:10]


def _in_control(learned: Dataset) -> tuple[Example, ...]:
    return tuple(e for e in learned.examples if e.split == "test")


def in_order(examples: Sequence[Example]) -> tuple[Example, ...]:
    """As they were taken: by time where it is known, else as the files are numbered."""
    return tuple(sorted(examples, key=lambda e: (e.attributes.get("captured_at", ""), e.group, e.path.name)))
