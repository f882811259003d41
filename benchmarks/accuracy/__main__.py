"""Accuracy of int8 bundles, one pass an image, on three sets of real images by protocols fixed beforehand.

    python -m benchmarks.accuracy --folder CELLS --json benchmarks/reports/accuracy.json

Hours in all: `--only elpv-random` measures some cells; those that `--folder` has of the same data, configuration and
code are not measured again, and a figure whose cells are not all there has no value. A test part is read once a seed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.cells import Cell, Shelf, code_hash
from benchmarks.accuracy.play import answers_of, play
from benchmarks.accuracy.protocols import grouped_fold, grouped_quarter, later_days, random_quarter, read_set
from benchmarks.harness import Measured, add_data, main
from contracts.report import Figure
from lineside.training import chosen_base
from runtime.metrics import bootstrap_interval
from trainer.attempt import good_labels
from trainer.backbone import BaseModel
from trainer.dataset import Dataset
from trainer.evaluation.figures import Answers, Statistic, accuracy, area, balanced_accuracy, macro_f1
from trainer.quality.alike import near_duplicates
from trainer.quality.leaks import leak
from trainer.quality.survey import survey
from trainer.settings import TrainingSettings
from trainer.split import split

_SEEDS = (0, 1, 2)
_FOLDS = range(5)
_ELPV_PX = 288  # the images have 300
_MOST_SECONDS = 1800.0
_UNLABELLED_FROM = "2020-09-10"  # BSData's last day lacks most of its pits

Found = dict[str, dict[str, Any]]


def measure(options: argparse.Namespace) -> Measured:
    """Measure the cells asked for, recall the others, and make the figures of them."""
    base = chosen_base(weights=options.data / "weights" / "mobilenetv2_100_same.in1k.safetensors")
    cells, tiles = read_set(options.data, "elpv"), read_set(options.data, "magnetic_tile")
    spindle = read_set(options.data, "bsdata").only(lambda e: e.attributes["captured_at"] < _UNLABELLED_FROM)
    shelf = Shelf(options.folder, code_hash())
    found: Found = {}
    for cell in (*_elpv(cells, base, options), *_tiles(tiles, base, options), *_spindle(spindle, base, options)):
        if any(cell.name.startswith(wanted) for wanted in options.only or [""]):
            outcome = shelf.measure(cell)
            print(f"{cell.name}: {outcome['train_seconds']:.0f} s", flush=True)
        else:
            outcome = shelf.recall(cell) or {}
        if outcome:
            found[cell.name] = outcome
    figures = [*_elpv_figures(found, cells), *_tile_figures(found, tiles), *_leak_figures(tiles)]
    figures += _spindle_figures(found, spindle)
    return Measured(figures, {"cells": sorted(found)})


def _elpv(dataset: Dataset, base: BaseModel, options: argparse.Namespace) -> Iterator[Cell]:
    for seed in _SEEDS[: 1 if options.quick else None]:
        parted = random_quarter(dataset, seed=seed)
        settings = _settings(
            options, seed, strategy="full", input_width=_ELPV_PX, input_height=_ELPV_PX, defect_share=_share(parted)
        )
        yield _cell(f"elpv-random/seed-{seed}", parted, base, settings)
    for seed in _SEEDS[: 1 if options.quick else None]:
        for strategy in ("probe", "full"):
            parted = grouped_quarter(dataset, seed=seed)
            settings = _settings(options, seed, strategy=strategy, defect_share=_share(parted))
            yield _cell(f"elpv-blocks/{strategy}-{seed}", parted, base, settings)


def _tiles(dataset: Dataset, base: BaseModel, options: argparse.Namespace) -> Iterator[Cell]:
    for fold in _FOLDS[: 1 if options.quick else None]:
        parted = grouped_fold(dataset, fold=fold)
        settings = _settings(options, 0, strategy="full", defect_share=_share(parted))
        yield _cell(f"tiles/fold-{fold}", parted, base, settings)


def _spindle(dataset: Dataset, base: BaseModel, options: argparse.Namespace) -> Iterator[Cell]:
    for fold in _FOLDS[: 1 if options.quick else None]:
        settings = _settings(options, 0, strategy="full")
        yield _cell(f"spindle/fold-{fold}", grouped_fold(dataset, fold=fold), base, settings)
    later = later_days(dataset, until="2020-09-06", bridge="2020-09-07", labels=60, seed=0)
    yield _cell("spindle/later", later, base, _settings(options, 0, strategy="full"))


def _share(dataset: Dataset) -> float:
    """Of defects among the images that may be looked at: where plain accuracy counts, both errors cost the same."""
    seen = [example for example in dataset.examples if example.split != "test"]
    good = good_labels(dataset.labels())
    return round(sum(example.label not in good for example in seen) / len(seen), 3)


def _settings(options: argparse.Namespace, seed: int, **chosen: Any) -> TrainingSettings:
    return TrainingSettings(seed=seed, threads=options.threads, max_seconds=_MOST_SECONDS, **chosen)


def _cell(name: str, dataset: Dataset, base: BaseModel, settings: TrainingSettings) -> Cell:
    rows = sorted((example.sha256, example.label, str(example.split)) for example in dataset.examples)
    inputs = {
        "data": hashlib.sha256(json.dumps(rows).encode()).hexdigest(),
        "base": base.sha256,
        "settings": settings.model_dump(mode="json"),
    }
    return Cell(name, inputs, partial(play, dataset, base, settings))


def _elpv_figures(found: Found, dataset: Dataset) -> Iterator[Figure]:
    random = [f"elpv-random/seed-{seed}" for seed in _SEEDS]
    note = "random quarter, mean of 3 seeds, interval over modules"
    yield _figure("elpv_random_accuracy", found, random, dataset, accuracy, note)
    yield _figure("elpv_random_accuracy_float", found, random, dataset, accuracy, f"float; {note}", variant="float")
    yield _largest("elpv_random_train_seconds", found, random, "train_seconds")
    yield _largest("elpv_random_latency_seconds", found, random, "latency_seconds")
    probes, full = ([f"elpv-blocks/{strategy}-{seed}" for seed in _SEEDS] for strategy in ("probe", "full"))
    note = "quarter of the modules, mean of 3 seeds"
    yield _figure("elpv_blocks_accuracy", found, full, dataset, accuracy, note)
    yield _figure("elpv_blocks_accuracy_probe", found, probes, dataset, accuracy, f"frozen features; {note}")
    yield _gain("elpv_blocks_gain", found, full, probes, dataset, f"above frozen features on the same images; {note}")


def _tile_figures(found: Found, dataset: Dataset) -> Iterator[Figure]:
    names = [f"tiles/fold-{fold}" for fold in _FOLDS]
    note = "tile-disjoint, 5 folds, 6 classes"
    yield _figure("tiles_macro_f1", found, names, dataset, macro_f1, note)
    yield _figure("tiles_accuracy", found, names, dataset, right_class, note)
    yield _figure("tiles_accuracy_float", found, names, dataset, right_class, f"float; {note}", variant="float")
    yield _largest("tiles_train_seconds", found, names, "train_seconds")


def _leak_figures(dataset: Dataset) -> Iterator[Figure]:
    """Whether the split by image is found to leak and the one by tile is not."""
    measured = survey(dataset.examples)
    alike = near_duplicates([item.looks for item in measured])
    alone = [replace(example, group="") for example in dataset.examples]
    for name, examples in (("random", alone), ("grouped", dataset.examples)):
        parted = split(examples, seed=0)
        (finding,) = leak([replace(item, example=e) for item, e in zip(measured, parted, strict=True)], alike)
        yield Figure(name=f"tiles_leak_flagged_{name}", value=float(finding.weight == "error"), note=finding.text)


def _spindle_figures(found: Found, dataset: Dataset) -> Iterator[Figure]:
    names = [f"spindle/fold-{fold}" for fold in _FOLDS]
    yield _figure("spindle_auroc", found, names, dataset, area, "position-disjoint, 5 folds together")
    note = "the days after 7 September; trained to the 6th and on 60 labels of the 7th"
    yield _figure("spindle_later_balanced_accuracy", found, ["spindle/later"], dataset, balanced_accuracy, note)


def right_class(answers: Answers, rows: NDArray[np.intp]) -> float | None:
    """Share of images whose most probable class is the true one."""
    return float((answers.probabilities[rows].argmax(1) == answers.true[rows]).mean()) if len(rows) else None


def _figure(
    name: str, found: Found, cells: Sequence[str], dataset: Dataset, statistic: Statistic, note: str,
    *, variant: str = "int8",
) -> Figure:  # fmt: skip
    """A statistic over all cells' answers together, with an interval over groups; no value where a cell is missing."""
    if any(cell not in found for cell in cells):
        return Figure(name=name, value=None, note=f"not all cells measured: {note}")
    answers = answers_of([found[cell] for cell in cells], dataset, variant=variant)
    value = statistic(answers, np.arange(len(answers.examples)))
    return Figure(name=name, value=value, interval=_over_groups(partial(statistic, answers), answers), note=note)


def _gain(
    name: str, found: Found, cells: Sequence[str], against: Sequence[str], dataset: Dataset, note: str
) -> Figure:  # fmt: skip
    """Accuracy of some cells above that of others on the same images."""
    if any(cell not in found for cell in (*cells, *against)):
        return Figure(name=name, value=None, note=f"not all cells measured: {note}")
    ours, theirs = (answers_of([found[cell] for cell in names], dataset) for names in (cells, against))

    def gained(rows: NDArray[np.intp]) -> float | None:
        one, other = accuracy(ours, rows), accuracy(theirs, rows)
        return None if one is None or other is None else one - other

    value = gained(np.arange(len(ours.examples)))
    return Figure(name=name, value=value, interval=_over_groups(gained, ours), note=note)


def _over_groups(statistic: Callable[[NDArray[np.intp]], float | None], answers: Answers) -> tuple[float, float] | None:
    return bootstrap_interval(statistic, len(answers.examples), groups=answers.groups, resamples=1000)


def _largest(name: str, found: Found, cells: Sequence[str], key: str) -> Figure:
    values = [float(found[cell][key]) for cell in cells if cell in found]
    return Figure(name=f"{name}_largest", value=max(values) if len(values) == len(cells) else None, unit="s")


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    parser.add_argument("--folder", type=Path, default=Path(".accuracy"), help="where the cells are kept")
    parser.add_argument("--only", action="append", metavar="PREFIX", help="measure cells of this name; repeatable")
    parser.add_argument("--threads", type=int, default=2)


if __name__ == "__main__":
    main("accuracy", measure, add_arguments=_arguments)
