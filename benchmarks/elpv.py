"""The whole loop on real solar cells: trained on mono, then poly cells arrive; three stratified group splits.

    python -m benchmarks.elpv --json benchmarks/reports/elpv.json

`--data` holds `elpv/` and `weights/`. Each split is one run of `lineside demo --data ...`; reports
that lie in `--folder` are not made again, so the benchmark can be interrupted.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import mean

from benchmarks.harness import Measured, add_data, main
from benchmarks.plays import Stage, values_of
from contracts.report import Figure

_LIMIT_SECONDS = 1800
_MEANS = (
    "balanced_accuracy_before",
    "balanced_accuracy_drifted",
    "balanced_accuracy_after",
    "auroc_before",
    "auroc_drifted",
    "auroc_after",
    "balanced_accuracy_offline",
    "auroc_offline",
    "balanced_accuracy_below_offline",
    "auroc_below_offline",
    "recall_good_after",
    "recall_defect_after",
    "balanced_accuracy_home_before",
    "balanced_accuracy_home_after",
    "balanced_accuracy_home_lost",
    "best_constant_after",
)
_LARGEST = ("labels_used", "wall_seconds", "loop_seconds", "drift_delay_windows")


def measure(options: argparse.Namespace) -> Measured:
    """Play every split, then take means and the largest."""
    folder = options.folder or Path(tempfile.mkdtemp(prefix="lineside-elpv-"))
    folds = range(1 if options.quick else 3)
    plays = [(f"split-{fold}", _arguments_of(fold, options.data, fast=options.quick)) for fold in folds]
    reports = Stage(folder, limit_seconds=_LIMIT_SECONDS).play_all(plays)
    values = [values_of(report) for report in reports]
    figures = [_figure(name, name, mean, values) for name in _MEANS]
    figures += [_figure(f"{name}_largest", name, max, values) for name in _LARGEST]
    return Measured(figures, {f"split {fold}": found for fold, found in zip(folds, values, strict=True)})


def _figure(
    name: str, source: str, summary: Callable[[list[float]], float], values: list[dict[str, float | None]]
) -> Figure:
    """`summary` over the splits; no value when one split lacks it."""
    found = [value.get(source) for value in values]
    known = [value for value in found if value is not None]
    value = summary(known) if known and len(known) == len(found) else None
    split = ", ".join("–" if one is None else f"{one:.3f}" for one in found)
    return Figure(name=name, value=value, note=f"splits: {split}")


def _arguments_of(fold: int, data: Path, *, fast: bool) -> list[str]:
    return [
        "--data", str(data / "elpv" / "manifest.csv"), "--site", "mono", "--shift-to", "poly", "--fold", str(fold),
        "--weights", str(data / "weights" / "mobilenetv2_100_same.in1k.safetensors"), *(["--fast"] if fast else []),
    ]  # fmt: skip


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    parser.add_argument("--folder", type=Path, help="keep reports and logs here; what is there is not run again")


if __name__ == "__main__":
    main("elpv", measure, add_arguments=_arguments)
