"""Faults of every kind, by the hundred, against the real programs.

    python -m benchmarks.faults --older --json benchmarks/reports/faults.json
    python -m benchmarks.faults --only kills --trials 5

Every trial is kept in `--folder` as it ends; Ctrl-C at any moment, then the same command again, or `--recall` for the
figures so far. All of them take hours.
Linux, with `strace` and `mosquitto` (`scripts/services`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.faults import activation, disk, images, kills, models, outage, overload, updates
from benchmarks.harness import Measured, Parts, add_parts, main, measure_parts

TRIALS = Path("benchmarks/results/faults")
PARTS: Parts = {
    "kills": kills.measure,
    "activation": activation.measure,
    "models": models.measure,
    "outage": outage.measure,
    "overload": overload.measure,
    "images": images.measure,
    "disk": disk.measure,
    "updates": updates.measure,
}


def measure(options: argparse.Namespace) -> Measured:
    """The figures of every part asked for."""
    return measure_parts(PARTS, options)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", type=Path, default=TRIALS, help=f"keeps the trials; default: {TRIALS}")
    parser.add_argument("--trials", type=int, metavar="N", help="at most N trials of each part")
    parser.add_argument("--older", action="store_true", help="count the trials that other code has played, too")
    parser.add_argument("--recall", action="store_true", help="play nothing; report what was played")
    add_parts(parser, PARTS)


if __name__ == "__main__":
    main("faults", measure, add_arguments=_add_arguments)
