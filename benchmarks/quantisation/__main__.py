"""Int8 on five backbones: what fuses, how fast it is, how large and how right.

    python -m benchmarks.quantisation --json benchmarks/reports/quantisation.json

`--only latency` measures one part; the goals of the others then stand in the report as not measured. `--older` takes
trainings that `--folder` has of other code, and the report says which.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from benchmarks.harness import Parts, add_data, add_parts, main, measure_parts
from benchmarks.quantisation import accuracy, latency, runtimes
from benchmarks.quantisation.accuracy import CELLS

PARTS: Parts = {"latency": latency.measure, "runtimes": runtimes.measure, "accuracy": accuracy.measure}


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    parser.add_argument("--folder", type=Path, default=CELLS, help="keeps what was trained; default: %(default)s")
    parser.add_argument("--older", action="store_true", help="take what other code trained, and say so")
    add_parts(parser, PARTS)


if __name__ == "__main__":
    main("quantisation", partial(measure_parts, PARTS), add_arguments=_add_arguments)
