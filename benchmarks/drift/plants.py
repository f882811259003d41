"""A rater who gets 10 % of the labels wrong, through the whole system: three demos with real pictures, agent, broker,
monitor, training, gate and shadow.

    python -m benchmarks.drift --only plants --folder demos

The demo's candidate is judged on 300 parts of the line as it is and 300 from home that nobody trained on. Recoveries
without a poisoned rater through the same system are those of `python -m benchmarks.seeds`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.harness import Measured
from benchmarks.plays import Stage, values_of
from contracts.report import Figure, Report

_WRONG = 0.1
_FIRST, _DEMOS = 2001, 3
_LIMIT_SECONDS = 1800.0
_LOST_AT_HOME = 0.05


def measure(options: argparse.Namespace) -> Measured:
    """Three demos, one where `--quick`; those that `--folder` has are not played again."""
    folder = options.folder or Path(tempfile.mkdtemp(prefix="lineside-poisoned-"))
    seeds = range(_FIRST, _FIRST + (1 if options.quick else _DEMOS))
    plays = [(f"poisoned-{seed}", ["--seed", str(seed), "--wrong-labels", str(_WRONG), "--fast"]) for seed in seeds]
    reports = Stage(folder, limit_seconds=_LIMIT_SECONDS).play_all(plays)
    told = {str(seed): values_of(report) for seed, report in zip(seeds, reports, strict=True)}
    return Measured(_figures(reports), told)


def _figures(reports: list[Report | None]) -> list[Figure]:
    seen = [values_of(report) for report in reports]
    promoted = [values for values in seen if values.get("balanced_accuracy_after") is not None]
    gained = ", ".join(
        f"{values['balanced_accuracy_drifted']:.3f} to {values['balanced_accuracy_after']:.3f}" for values in promoted
    )
    note = f"{_WRONG:.0%} of a rater's answers wrong, {len(seen)} demos, {len(promoted)} promoted; balanced accuracy "
    note += f"on the line {gained}; bad: worse there than before, or 5 points lost at home"
    bad = sum(is_bad(values) for values in promoted)
    return [
        Figure(name="poison_plants_without_report", value=sum(not values for values in seen), unit="demos"),
        Figure(name="poison_plants_bad_promotions", value=bad, unit="promotions", note=note),
    ]


def is_bad(values: dict[str, float | None]) -> bool:
    """Whether the release after the drift is worse than the one before, by a demo's figures.

    >>> is_bad({"balanced_accuracy_drifted": 0.6, "balanced_accuracy_after": 0.95, "balanced_accuracy_home_lost": 0.0})
    False
    """
    drifted, after = values["balanced_accuracy_drifted"], values["balanced_accuracy_after"]
    lost = values.get("balanced_accuracy_home_lost")
    return drifted is None or after is None or after < drifted or lost is None or lost >= _LOST_AT_HOME
