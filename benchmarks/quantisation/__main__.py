"""Int8 on five backbones: what fuses, how fast it is, how large and how right.

    python -m benchmarks.quantisation --json benchmarks/reports/quantisation.json

`--only latency` measures one part; the goals of the others then stand in the report as not measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness import Measured, add_data, main
from benchmarks.quantisation import accuracy, latency, runtimes
from benchmarks.quantisation.accuracy import CELLS

PARTS: dict[str, Callable[[argparse.Namespace], Measured]] = {
    "latency": latency.measure,
    "runtimes": runtimes.measure,
    "accuracy": accuracy.measure,
}
"""By the name that `--only` takes. A part reads `options` (`quick`, `data`) and knows nothing of the others."""


def measure(options: argparse.Namespace) -> Measured:
    """The figures of every part asked for, in their order, and the details under the part's name."""
    found = {name: part(options) for name, part in PARTS.items() if name in (options.only or PARTS)}
    figures = [figure for part in found.values() for figure in part.figures]
    return Measured(figures, {name: part.details for name, part in found.items()})


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    parser.add_argument("--folder", type=Path, default=CELLS, help="keeps what was trained; default: %(default)s")
    parser.add_argument("--only", action="append", choices=list(PARTS), help="measure this part alone; repeatable")


if __name__ == "__main__":
    main("quantisation", measure, add_arguments=_add_arguments)
