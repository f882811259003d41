"""Every cell of the benchmark: which protocol, which settings, fixed before anything is measured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from benchmarks.accuracy.caching import pass_seconds
from benchmarks.accuracy.cells import Cell, code_hash
from benchmarks.accuracy.play import play
from benchmarks.accuracy.protocols import (
    grouped_fold,
    grouped_quarter,
    later_days,
    random_quarter,
    read_set,
    third_of_each_site,
)
from benchmarks.accuracy.tasks import BESIDE, TASKS, TOGETHER, play_tasks
from benchmarks.accuracy.ways import play_ways
from lineside.models import chosen_base
from trainer.attempt import good_labels
from trainer.bases.backbone import BaseModel
from trainer.dataset import BOXES_COLUMN, MASK_COLUMN, Dataset, Example
from trainer.settings import TrainingSettings

SEEDS = (0, 1, 2)
FOLDS = range(5)
LABELS = (100, 200, 300, 400)
STRATEGIES = ("probe", "tail", "full", "gradual", "lora", "auto")
"""Compared at 160 pixels, three minutes each."""

_ELPV: dict[str, Any] = {
    "strategy": "full", "input_width": 160, "input_height": 160, "flips": "square", "average": True,
    "steps_factor": 1.5,
}  # fmt: skip
"""On a quarter held out of seed 0's training part more pixels brought nothing, the mean over mirrorings 0.5 to 2.8
points of AUROC, twice the steps as much as that mean for a single look; see docs/decisions/strategies.md."""
_TILES: dict[str, Any] = {"strategy": "tail", "pooling": "gem"}
"""Chosen inside fold 0's training part: the generalised mean over the mean on three of its parts, the tail over the
whole network on one, which was too few; see docs/decisions/small-defects.md."""
_MOST_SECONDS = 1800.0
_code = cache(code_hash)  # as it was at the start
_UNLABELLED_FROM = "2020-09-10"  # BSData's last day lacks most of its pits
_PITS = "4x2"  # tiles, in which a pit of 12 pixels has 8
_WINDOW: dict[str, Any] = {"input_width": 448, "input_height": 192}
"""One window for the twenty trainings of the tasks: in tiles they take five times as long, four hours of a core."""
_LATER: dict[str, Any] = {"tiles": _PITS}
"""Chosen inside fold 0's training part: without tiles what is learned is how late it is, and not the pits; see
docs/decisions/small-defects.md."""


@dataclass(frozen=True)
class Sets:
    """The three sets of real images."""

    elpv: Dataset
    tiles: Dataset
    spindle: Dataset

    @classmethod
    def of(cls, data: Path) -> Sets:
        """Those of the folder `data`."""
        spindle = read_set(data, "bsdata").only(lambda e: e.attributes["captured_at"] < _UNLABELLED_FROM)
        return cls(read_set(data, "elpv"), read_set(data, "magnetic_tile"), spindle)


@dataclass(frozen=True)
class Plan:
    """The cells over these sets, on top of the MobileNetV2 of `data`."""

    sets: Sets
    base: BaseModel
    threads: int
    quick: bool = False

    @classmethod
    def of(cls, data: Path, *, threads: int, quick: bool = False) -> Plan:
        """`quick`: the first seed and fold of each."""
        weights = data / "weights" / "mobilenetv2_100_same.in1k.safetensors"
        return cls(Sets.of(data), chosen_base(weights=weights), threads, quick)

    def cells(self) -> Iterator[Cell]:
        """All of them, in the order in which they are worth knowing."""
        yield from self._elpv()
        yield from self._tiles()
        yield from self._spindle()
        yield from self._strategies()
        yield from self._ways()
        yield from self._tasks()

    def _some(self, numbers: Sequence[int]) -> Sequence[int]:
        return numbers[:1] if self.quick else numbers

    def _elpv(self) -> Iterator[Cell]:
        for seed in self._some(SEEDS):
            yield self._cell(
                f"elpv-random/seed-{seed}", random_quarter(self.sets.elpv, seed=seed), seed=seed, as_come=True, **_ELPV
            )
        for seed in self._some(SEEDS):
            parted = grouped_quarter(self.sets.elpv, seed=seed)
            for name, chosen in (("probe", {"strategy": "probe"}), ("full", _ELPV)):
                yield self._cell(f"elpv-blocks/{name}-{seed}", parted, seed=seed, as_come=True, **chosen)

    def _tiles(self) -> Iterator[Cell]:
        for fold in self._some(FOLDS):
            parted = grouped_fold(self.sets.tiles, fold=fold)
            yield self._cell(f"tiles/fold-{fold}", parted, as_come=True, **_TILES)

    def _spindle(self) -> Iterator[Cell]:
        for fold in self._some(FOLDS):
            parted = grouped_fold(self.sets.spindle, fold=fold)
            yield self._cell(f"spindle/fold-{fold}", parted)
            yield self._cell(f"spindle-tiled/fold-{fold}", parted, tiles=_PITS)
        later = later_days(self.sets.spindle, until="2020-09-06", bridge="2020-09-07", labels=60, seed=0)
        yield self._cell("spindle/later", later, **_LATER)

    def _strategies(self) -> Iterator[Cell]:
        small: dict[str, Any] = {"input_width": 160, "input_height": 160, "max_seconds": 180.0}
        for name, parted in (
            ("elpv", grouped_quarter(self.sets.elpv, seed=0)),
            ("tiles", grouped_fold(self.sets.tiles, fold=0)),
            ("spindle", grouped_fold(self.sets.spindle, fold=0)),
        ):
            for strategy in STRATEGIES:
                yield self._cell(f"strategies/{name}-{strategy}", parted, strategy=strategy, **small)
        settings = self._settings(input_width=160, input_height=160)
        measure = partial(pass_seconds, self.sets.elpv, self.base, settings)
        code = _code("benchmarks.accuracy.caching")
        yield Cell("strategies/pass", inputs_of(self.sets.elpv, self.base, settings), code, measure)

    def _ways(self) -> Iterator[Cell]:
        settings, code = self._settings(), _code("benchmarks.accuracy.ways")
        parted = third_of_each_site(self.sets.elpv, seed=0)
        for labels in LABELS[2:3] if self.quick else LABELS:
            measure = partial(play_ways, parted, self.base, settings, "mono", "poly", labels)
            inputs = {**inputs_of(parted, self.base, settings), "labels": labels}
            yield Cell(f"ways/{labels}", inputs, code, measure)

    def _tasks(self) -> Iterator[Cell]:
        """Class, pit area and box over one trunk, and each alone, on the same folds, in one window."""
        settings, code = self._settings(strategy="tail", **_WINDOW, **BESIDE), _code("benchmarks.accuracy.tasks")
        for fold in self._some(FOLDS):
            parted = grouped_fold(self.sets.spindle, fold=fold)
            for name in (TOGETHER, *TASKS):
                measure = partial(play_tasks, parted, self.base, settings, name)
                inputs = {**inputs_of(parted, self.base, settings), "task": name}
                yield Cell(f"tasks/{name}-{fold}", inputs, code, measure)

    def _settings(self, *, seed: int = 0, **chosen: Any) -> TrainingSettings:
        return TrainingSettings.model_validate(
            {"seed": seed, "threads": self.threads, "max_seconds": _MOST_SECONDS, **chosen}
        )

    def as_come(self, dataset: Dataset, **chosen: Any) -> TrainingSettings:
        """Settings under which both errors cost the same on images as they come, where plain accuracy is asked for."""
        return self._settings(defect_share=_share(dataset), **chosen)

    def _cell(self, name: str, dataset: Dataset, *, as_come: bool = False, **chosen: Any) -> Cell:
        """A training by a protocol."""
        settings = self.as_come(dataset, **chosen) if as_come else self._settings(**chosen)
        measure = partial(play, dataset, self.base, settings)
        return Cell(name, inputs_of(dataset, self.base, settings), _code("benchmarks.accuracy.play"), measure)


def inputs_of(dataset: Dataset, base: BaseModel, settings: TrainingSettings) -> dict[str, Any]:
    """What decides a training besides the code, as JSON: images with their labels and parts, pretrained weights,
    settings."""
    rows = sorted(
        (e.sha256, e.label, str(e.split), e.group, e.site, sorted(_said(e).items())) for e in dataset.examples
    )
    return {
        "data": hashlib.sha256(json.dumps(rows).encode()).hexdigest(),
        "base": base.sha256,
        # the defaults are code; threads change rounding and time alone
        "settings": settings.model_dump(mode="json", exclude_defaults=True, exclude={"threads"}),
    }


def _said(example: Example) -> dict[str, str]:
    """What the manifest says of an image. Boxes made of a mask are code's: the manifest names the mask."""
    return {
        key: value
        for key, value in example.attributes.items()
        if key != BOXES_COLUMN or MASK_COLUMN not in example.attributes
    }


def _share(dataset: Dataset) -> float:
    """Of defects among the images that may be looked at."""
    seen = [example for example in dataset.examples if example.split != "test"]
    good = good_labels(dataset.labels())
    return round(sum(example.label not in good for example in seen) / len(seen), 3)
