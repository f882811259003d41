"""Accuracy of int8 bundles, one pass an image, on three sets of real images by protocols fixed beforehand.

    python -m benchmarks.accuracy --folder CELLS --json benchmarks/reports/accuracy.json

Hours in all: `--only elpv-random` measures some cells; those that `--folder` has of the same data, configuration and
code are not measured again, and a figure whose cells are not all there has no value. A test part is read once a seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.accuracy.cells import Shelf
from benchmarks.accuracy.findings import Findings, Found
from benchmarks.accuracy.plan import Plan
from benchmarks.harness import Measured, add_data, main


def measure(options: argparse.Namespace) -> Measured:
    """Measure the cells asked for, recall the others, and make the figures of them."""
    plan, shelf = Plan.of(options.data, threads=options.threads, quick=options.quick), Shelf(options.folder)
    found: Found = {}
    for cell in list(plan.cells()):  # their code is hashed before the first is measured
        known = shelf.recall(cell)
        if known is None and any(cell.name.startswith(wanted) for wanted in options.only or [""]):
            print(f"{cell.name} ...", flush=True)
            known = shelf.measure(cell)
        if known is not None:
            found[cell.name] = known
    return Measured(list(Findings(found, plan.sets).figures()), {"cells": sorted(found)})


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    parser.add_argument("--folder", type=Path, default=Path(".accuracy"), help="where the cells are kept")
    parser.add_argument("--only", action="append", metavar="PREFIX", help="measure cells of this name; repeatable")
    parser.add_argument("--threads", type=int, default=2)


if __name__ == "__main__":
    main("accuracy", measure, add_arguments=_arguments)
