"""Drift: delay, misses and false alarms on planted drift; right diagnoses; labels to proof and false proofs.

    python -m benchmarks.drift --json benchmarks/reports/drift.json
    python -m benchmarks.drift --only false_alarms

Every detector and rule is production's; only the line is planted, so that its truth is known.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.drift import (
    alone,
    costs,
    diagnoses,
    every_state,
    false_alarms,
    fleet,
    frames,
    gate,
    labels,
    planted,
    plants,
    poison,
    replayed,
    replays,
)
from benchmarks.harness import Measured, Parts, add_data, add_parts, main, measure_parts

PARTS: Parts = {
    "planted": planted.measure,
    "false_alarms": false_alarms.measure,
    "frames": frames.measure,
    "labels": labels.measure,
    "gate": gate.measure,
    "fleet": fleet.measure,
    "alone": alone.measure,
    "replays": replays.measure,
    "replayed": replayed.measure,
    "diagnoses": diagnoses.measure,
    "costs": costs.measure,
    "poison": poison.measure,
    "plants": plants.measure,
    "every_state": every_state.measure,
}


def measure(options: argparse.Namespace) -> Measured:
    """The figures of every part asked for."""
    return measure_parts(PARTS, options)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1)
    add_data(parser)
    parser.add_argument("--folder", type=Path, help="keep the demos of `plants` here; what is there is not run again")
    parser.add_argument(
        "--older", action="store_true", help="take vectors and cells that other code made of the same data, and say so"
    )
    add_parts(parser, PARTS)


if __name__ == "__main__":
    main("drift", measure, add_arguments=_arguments)
