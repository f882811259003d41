"""Which images each protocol trains on and which it judges by, stated before anything is trained."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from trainer.dataset import Dataset, Example, checked, read_manifest
from trainer.split import folds

_VALIDATION_PARTS = 10  # of what is not the test, one is held out of the training


def random_quarter(dataset: Dataset, *, seed: int) -> Dataset:
    """A quarter of the images, whatever their group, is the test: as published for ELPV (Deitsch et al., 2019). Images
    of one module are then on both sides; `grouped_quarter` says what that is worth."""
    alone = [replace(example, group="") for example in dataset.examples]
    return _stated(alone, folds(alone, 4, seed=seed)[0], dataset.source, seed)


def grouped_quarter(dataset: Dataset, *, seed: int) -> Dataset:
    """Groups that hold a quarter of the images are the test."""
    return _stated(dataset.examples, folds(dataset.examples, 4, seed=seed)[0], dataset.source, seed)


def grouped_fold(dataset: Dataset, *, fold: int, count: int = 5) -> Dataset:
    """One of `count` parts of the groups is the test; the parts are the same for every fold."""
    return _stated(dataset.examples, folds(dataset.examples, count, seed=0)[fold], dataset.source, fold)


def third_of_each_site(dataset: Dataset, *, seed: int) -> Dataset:
    """Groups that hold a third of every site's images are the test: enough of them to tell ways apart."""
    test: list[int] = []
    for site in sorted({example.site for example in dataset.examples}):
        rows = [row for row, example in enumerate(dataset.examples) if example.site == site]
        test += [rows[number] for number in folds([dataset.examples[row] for row in rows], 3, seed=seed)[0]]
    return _stated(dataset.examples, test, dataset.source, seed)


def later_days(dataset: Dataset, *, until: str, bridge: str, labels: int, seed: int) -> Dataset:
    """Trained on the days up to `until` and on `labels` images of the day `bridge`, as a retrain would be: these come
    by an order, under the conditions in which the model will serve. The days after it are the test. A group is one day
    of one group: what comes again later is meant to be known."""
    dated = [replace(e, group=f"{e.group} {_day(e)}") for e in dataset.examples]
    on_bridge = [row for row, example in enumerate(dated) if _day(example) == bridge]
    labelled = set(random.Random(seed).sample(on_bridge, min(labels, len(on_bridge))))
    kept = [
        e if _day(e) <= until else replace(e, attributes={**e.attributes, "order": bridge})
        for row, e in enumerate(dated)
        if _day(e) <= until or row in labelled or _day(e) > bridge
    ]
    return _stated(kept, [row for row, e in enumerate(kept) if _day(e) > bridge], dataset.source, seed)


def _day(example: Example) -> str:
    return example.attributes["captured_at"][:10]


def read_set(data: Path, name: str) -> Dataset:
    """The images of `data/NAME/manifest.csv`."""
    return read_manifest(data / name / "manifest.csv")


def _stated(examples: Sequence[Example], test: Sequence[int], source: str, seed: int) -> Dataset:
    """Every image with its split written down; a tenth of the rest, by group, is the validation."""
    chosen = set(test)
    rest = [example for row, example in enumerate(examples) if row not in chosen]
    held_out = set(folds(rest, _VALIDATION_PARTS, seed=seed)[0])
    parted = [replace(e, split="validation" if row in held_out else "train") for row, e in enumerate(rest)]
    return checked((*parted, *(replace(examples[row], split="test") for row in test)), source)
