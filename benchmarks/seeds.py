"""The simulated demo over many seeds: how many hold every goal of `goals/demo.toml`, and where the others miss.

    python -m benchmarks.seeds --json benchmarks/reports/seeds.json --first 1001 --count 20 --parallel 2

Each seed is one run of `lineside demo`. A run that has ended is not repeated when `--folder` is kept, so the benchmark
can be interrupted. `wall_seconds` is judged apart: runs beside each other slow one another down.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.harness import Measured, main
from benchmarks.plays import Stage, values_of
from contracts.report import Figure, Report, judge, read_goals
from lineside.demo.run import GOALS_FOLDER
from runtime.metrics import wilson_interval

_LIMIT_SECONDS = 1200


def measure(options: argparse.Namespace) -> Measured:
    """Run what is missing, then judge every report."""
    seeds = range(options.first, options.first + (2 if options.quick else options.count))
    folder = options.folder or Path(tempfile.mkdtemp(prefix="lineside-seeds-"))
    quick = ["--fast"] if options.quick else []
    plays = [(f"seed-{seed}", ["--seed", str(seed), *quick]) for seed in seeds]
    stage = Stage(folder, limit_seconds=_LIMIT_SECONDS)
    reports = dict(zip(seeds, stage.play_all(plays, parallel=options.parallel), strict=True))
    missed = {seed: missed_goals(report) for seed, report in reports.items()}
    holding = sum(not names for names in missed.values())
    figures = [
        Figure(name="seeds", value=len(reports), unit="seeds", note=f"{seeds.start} to {seeds.stop - 1}"),
        Figure(
            name="seeds_that_hold",
            value=holding,
            unit="seeds",
            interval=_times(wilson_interval(holding, len(reports)), len(reports)),
            note="every goal of goals/demo.toml but wall_seconds",
        ),
        *_worst(list(reports.values())),
    ]
    details = {str(seed): {"missed": names, "values": values_of(reports[seed])} for seed, names in missed.items()}
    return Measured(figures, details)


def missed_goals(report: Report | None) -> list[str]:
    """Goals of the demo that a report misses, `wall_seconds` left out."""
    if report is None:
        return ["no report"]
    goals = read_goals(GOALS_FOLDER / "demo.toml")
    judged = judge(list(report.figures), goals, quick=report.quick)
    return [figure.name for figure in judged if figure.holds is False and figure.name != "wall_seconds"]


def _worst(reports: list[Report | None]) -> list[Figure]:
    """The least favourable value over all seeds of what has a direction."""
    figures = []
    for name, worst in (("drift_delay_windows", max), ("balanced_accuracy_lost", max), ("wall_seconds", max)):
        values = [value for report in reports if (value := values_of(report).get(name)) is not None]
        note = f"worst of {len(values)} seeds"
        figures.append(Figure(name=f"{name}_worst", value=worst(values) if values else None, note=note))
    return figures


def _times(interval: tuple[float, float], count: int) -> tuple[float, float]:
    return interval[0] * count, interval[1] * count


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--first", type=int, default=1001, help="first seed")
    parser.add_argument("--count", type=int, default=20, help="number of seeds")
    parser.add_argument("--parallel", type=int, default=1, help="demos at once")
    parser.add_argument("--folder", type=Path, help="keep reports and logs here; what is there is not run again")


if __name__ == "__main__":
    main("seeds", measure, add_arguments=_arguments)
