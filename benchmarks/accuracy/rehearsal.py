"""Ways of training compared inside training parts, before a test part is asked: evidence for what `plan` fixes.

    python -m benchmarks.accuracy.rehearsal --way tail --way graft --json FILE

The magnetic tiles' outer folds are each without their test part parted again, into three parts by tile; every way
learns from two of them and is judged by the third. A class has seven to nineteen tiles, so that parts differ more from
each other than ways do: compare ways on the same parts, and more than one outer fold. Float, since the choice is the
training's. Cells are kept as those of `benchmarks.accuracy` are; a way whose cells are not all there has no figure.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks.accuracy.cells import Cell, Shelf, add_cells, code_hash
from benchmarks.accuracy.findings import Found, answers_of, right_class
from benchmarks.accuracy.plan import FOLDS, Plan, inputs_of
from benchmarks.accuracy.play import rehearse
from benchmarks.accuracy.protocols import grouped_fold
from benchmarks.harness import Measured, add_data, main
from contracts.report import Figure
from runtime.metrics import bootstrap_interval
from trainer.dataset import Dataset
from trainer.evaluation.figures import macro_f1

WAYS: dict[str, dict[str, Any]] = {
    "tail": {"strategy": "tail", "pooling": "gem"},
    "tiled": {"strategy": "tail", "pooling": "gem", "tiles": "2x2"},
    "graft": {"strategy": "tail", "pooling": "gem", "graft": True},
    "tiled-graft": {"strategy": "tail", "pooling": "gem", "tiles": "2x2", "graft": True},
    "probed-graft": {"strategy": "probe", "pooling": "gem", "tiles": "2x2", "graft": True},
    "full-graft": {"strategy": "full", "pooling": "gem", "graft": True},
    "located-graft": {"strategy": "full", "pooling": "gem", "graft": True, "tasks": ("location",)},
}
"""Of what a site with a handful of defective parts and their masks may try."""

PARTS = 3
_STATISTICS = {"macro_f1": macro_f1, "accuracy": right_class}


@dataclass(frozen=True)
class Rehearsal:
    """The cells of some ways over some outer folds."""

    plan: Plan
    outer: Sequence[int]
    ways: Sequence[str]

    def cells(self) -> Iterator[Cell]:
        """Part by part, so that the ways can be compared from early on."""
        code = code_hash("benchmarks.accuracy.play")
        for fold in self.outer:
            for part in range(PARTS):
                parted = inner_part(self.plan.sets.tiles, fold=fold, part=part)
                for way in self.ways:
                    settings = self.plan.as_come(parted, **WAYS[way])
                    measure = partial(rehearse, parted, self.plan.base, settings)
                    yield Cell(name_of(way, fold, part), inputs_of(parted, self.plan.base, settings), code, measure)

    def figures(self, found: Found) -> Iterator[Figure]:
        """Of each way over all its parts together, with intervals over tiles."""
        for way in self.ways:
            names = [name_of(way, fold, part) for fold in self.outer for part in range(PARTS)]
            note = f"{WAYS[way]}; float, {PARTS} parts by tile inside the training parts of folds {list(self.outer)}"
            if not all(name in found for name in names):
                yield from (
                    Figure(name=f"{way}_{kind}", value=None, note=f"not measured: {note}") for kind in _STATISTICS
                )
                continue
            answers = answers_of([found[name] for name in names], self.plan.sets.tiles, variant="float")
            rows = np.arange(len(answers.examples))
            for kind, statistic in _STATISTICS.items():
                interval = bootstrap_interval(partial(statistic, answers), len(rows), groups=answers.groups)
                yield Figure(name=f"{way}_{kind}", value=statistic(answers, rows), interval=interval, note=note)


def inner_part(dataset: Dataset, *, fold: int, part: int) -> Dataset:
    """What is not the test of an outer fold, parted again: one of three parts of its groups is the test."""
    outer = grouped_fold(dataset, fold=fold)
    return grouped_fold(outer.only(lambda example: example.split != "test"), fold=part, count=PARTS)


def name_of(way: str, fold: int, part: int) -> str:
    """Of a cell."""
    return f"rehearsal/{way}/{fold}-{part}"


def measure(options: argparse.Namespace) -> Measured:
    """Measure the cells asked for that are not known, and make the figures of all that are."""
    plan, shelf = Plan.of(options.data, threads=options.threads), Shelf(options.folder)
    rehearsal = Rehearsal(plan, (0,) if options.quick else tuple(options.outer), options.way or list(WAYS))
    found: Found = {}
    for cell in list(rehearsal.cells()):
        kept = shelf.recall(cell, older=options.older)
        if kept is None and not options.recall:
            print(f"{cell.name} ...", flush=True)
            kept = shelf.measure(cell)
        if kept is not None:
            found[cell.name] = kept.found
    return Measured(list(rehearsal.figures(found)))


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    add_cells(parser)
    parser.add_argument("--way", action="append", choices=list(WAYS), help="to compare; repeatable; default: all")
    parser.add_argument(
        "--outer", type=int, nargs="+", choices=list(FOLDS), default=[0, 2],
        help="folds in whose training parts they are compared; default: 0 2",
    )  # fmt: skip


if __name__ == "__main__":
    main("accuracy.rehearsal", measure, add_arguments=_arguments)
