"""The frame around every benchmark: arguments in, one judged `Report` out.

A benchmark module reads like this (here without its own arguments):

    def measure(options: argparse.Namespace) -> Measured:
        ...
        return Measured(figures=[Figure(name="p50_seconds", value=0.0016, unit="s", note="int8, 1 thread")])

    if __name__ == "__main__":
        main("latency", measure)
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.table import report_table
from contracts.errors import ConfigurationError
from contracts.report import Figure, Report, judge, read_goals
from lineside.machine import describe_commit, describe_machine
from runtime.durable import write_whole

GOALS_FOLDER = Path(__file__).parent / "goals"


@dataclass(frozen=True)
class Measured:
    """What a benchmark found; `details` is free-form and never judged."""

    figures: list[Figure]
    details: dict[str, Any] = field(default_factory=dict)


Measure = Callable[[argparse.Namespace], Measured]
Parts = Mapping[str, Measure]
"""Of a benchmark that is measured in parts, by the names that `--only` takes; none knows of the others."""


def run_benchmark(
    name: str,
    measure: Measure,
    options: argparse.Namespace,
    *,
    command: str,
    goals_folder: Path = GOALS_FOLDER,
    clock: Callable[[], float] = time.perf_counter,
) -> Report:
    """Run `measure` and judge its figures by `goals_folder/NAME.toml` (no goals where that file is missing)."""
    goals_file = goals_folder / f"{name}.toml"
    goals = read_goals(goals_file) if goals_file.exists() else []
    start = clock()
    measured = measure(options)
    return Report(
        command=command,
        commit=describe_commit(),
        machine=describe_machine(),
        seconds=round(clock() - start, 3),
        quick=options.quick,
        figures=tuple(judge(measured.figures, goals, quick=options.quick)),
        details=measured.details,
    )


def write_report(report: Report, path: Path) -> None:
    """Write the report as indented JSON; a reader of a half-written file is not possible."""
    write_whole(path, report.model_dump_json(indent=1) + "\n")


def read_report(path: Path) -> Report:
    """A report that was written before. Raises ConfigurationError for a file that is none."""
    try:
        return Report.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} is no report of a benchmark: {error}; move it away") from error


def add_data(parser: argparse.ArgumentParser) -> None:
    """`--data`, the folder of the real images."""
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("LINESIDE_DATA") or "../shared/data"),
        help="folder that holds elpv/ and weights/; default: $LINESIDE_DATA, or shared/data beside the checkout",
    )


def measure_parts(parts: Parts, options: argparse.Namespace) -> Measured:
    """The figures of every part asked for, in their order, and the details under the part's name.

    What `--json` already holds of the other parts stays, where it was measured on the same processor, with the commit
    of then (`details["parts"]`); the goals of those that it lacks stand in the report as not measured.
    """
    kept = _kept_parts(options)
    found: dict[str, tuple[Measured, dict[str, Any]]] = {}
    for name, measure in parts.items():
        if name in (options.only or parts):
            start = time.perf_counter()
            measured = measure(options)
            about = {"commit": describe_commit(), "seconds": round(time.perf_counter() - start, 3)}
            found[name] = measured, about
        elif name in kept:
            found[name] = kept[name]
    details: dict[str, Any] = {name: part.details for name, (part, _) in found.items()}
    details["parts"] = {
        name: {**about, "figures": [figure.name for figure in part.figures]} for name, (part, about) in found.items()
    }
    return Measured([figure for part, _ in found.values() for figure in part.figures], details)


def _kept_parts(options: argparse.Namespace) -> dict[str, tuple[Measured, dict[str, Any]]]:
    """What the report to be written holds of each part: (what was found, commit and seconds)."""
    path: Path | None = getattr(options, "json", None)
    if path is None or not path.exists():
        return {}
    report, here = read_report(path), describe_machine()
    if report.quick != options.quick or any(report.machine.get(key) != here[key] for key in ("processor", "cores")):
        return {}
    figures = {figure.name: figure.model_copy(update={"goal": None, "holds": None}) for figure in report.figures}
    return {
        name: (Measured([figures[figure] for figure in about["figures"]], report.details[name]), about)
        for name, about in report.details.get("parts", {}).items()
    }


def add_parts(parser: argparse.ArgumentParser, parts: Parts) -> None:
    """`--only`, for `measure_parts`."""
    parser.add_argument(
        "--only",
        action="append",
        choices=list(parts),
        help="measure this part alone; repeatable; what the report in --json holds of the others stays in it",
    )


def main(
    name: str,
    measure: Measure,
    *,
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
    arguments: Sequence[str] | None = None,
) -> None:
    """Parse the command line, run, print the table and write `--json`. SIGTERM ends it as Ctrl-C does, with whatever it
    started."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report to this file")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions; satisfies no goal")
    add_arguments(parser)
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(given)
    command = shlex.join(["python", "-m", f"benchmarks.{name}", *given])
    report = run_benchmark(name, measure, options, command=command)
    print(report_table(report))
    if options.json:
        write_report(report, options.json)
