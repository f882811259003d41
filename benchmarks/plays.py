"""Whole demos as parts of a benchmark: one child process each, its report and its log kept in a folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from contracts.report import Report
from lineside.process import Child


def play(name: str, arguments: Sequence[str], folder: Path, *, limit_seconds: float) -> Report | None:
    """Run `lineside demo` with these arguments unless `folder` has its report `NAME.json` from an earlier run; None
    when it left no report. After `limit_seconds` it is ended as Ctrl-C would, with all its services."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    if not path.exists():
        command = [sys.executable, "-m", "lineside", "demo", "--no-stay", *arguments, "--report", str(path)]
        demo = Child(name, command, folder / f"{name}.log")
        demo.start()
        try:
            if demo.process is not None:
                demo.process.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            print(f"{name}: took more than {limit_seconds:.0f} s", flush=True)
        finally:
            demo.stop(patience_seconds=60.0)
        print(f"{name}: {'done' if path.exists() else f'no report, see {demo.log}'}", flush=True)
    return Report.model_validate_json(path.read_text(encoding="utf-8")) if path.exists() else None


def values_of(report: Report | None) -> dict[str, float | None]:
    """Its figures by name; none without a report."""
    return {} if report is None else {figure.name: figure.value for figure in report.figures}
