"""Accuracy of int8 bundles, one pass an image, on three sets of real images by protocols fixed beforehand.

    python -m benchmarks.accuracy --folder CELLS --json benchmarks/reports/accuracy.json

Hours in all: `--only elpv-random` measures some cells; those that `--folder` has of the same data, configuration and
code are not measured again, and a figure whose cells are not all there has no value. A test part is read once a seed.
`--older` also takes what an earlier commit measured of the same data and configuration; the report names every cell's
commit, and which of them the code has left behind. Seconds of training, and the limits on them, are of the
processor (`trainer.clock`): what else the machine does changes no figure.
"""

from __future__ import annotations

import argparse
from typing import Any

from benchmarks.accuracy.cells import Kept, Shelf, add_cells
from benchmarks.accuracy.findings import Findings
from benchmarks.accuracy.plan import Plan
from benchmarks.harness import Measured, add_data, main


def measure(options: argparse.Namespace) -> Measured:
    """Measure the cells asked for, recall the others, and make the figures of them."""
    plan, shelf = Plan.of(options.data, threads=options.threads, quick=options.quick), Shelf(options.folder)
    known: dict[str, Kept] = {}
    for cell in list(plan.cells()):  # their code is hashed before the first is measured
        kept = shelf.recall(cell, older=options.older)
        if kept is None and not options.recall and any(cell.name.startswith(part) for part in options.only or [""]):
            print(f"{cell.name} ...", flush=True)
            kept = shelf.measure(cell)
        if kept is not None:
            known[cell.name] = kept
    found = {name: kept.found for name, kept in known.items()}
    return Measured(list(Findings(found, plan.sets).figures()), _told(known))


def _told(known: dict[str, Kept]) -> dict[str, Any]:
    """Which commit measured which cells."""
    commits = sorted({kept.commit for kept in known.values()})
    return {
        "cells": {commit: sorted(name for name, kept in known.items() if kept.commit == commit) for commit in commits},
        "measured_by_other_code": sorted(name for name, kept in known.items() if kept.outdated),
    }


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    add_cells(parser)
    parser.add_argument("--only", action="append", metavar="PREFIX", help="measure cells of this name; repeatable")


if __name__ == "__main__":
    main("accuracy", measure, add_arguments=_arguments)
