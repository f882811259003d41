"""Attacks on updates: does a station believe anything that was not signed for it, or that is older than what it knows?

10,000 mutants of every file that an update needs, 500 to a trial, each against an agent's client that has seen nothing.
The named attacks (rollback, freeze, mix-and-match, replaced keys, takeovers, endless and slow data, wiped metadata) are
those of `tests/edge_agent/test_updates.py`; one trial plays them all.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import benchmarks
from benchmarks.faults.ledger import Ledger, Outcome, count, provenance, told
from benchmarks.faults.tampering import ACCEPTED, HARMLESS, REFUSED, outcomes
from benchmarks.harness import Measured
from contracts.errors import LinesideError
from contracts.report import Figure
from tests.simulators.site import ServedSite

A_TRIAL, _QUICK = 500, 100
_MODULES = ("benchmarks.faults.updates", "edge_agent.updates")
_ATTACKS = "attacks"
_ROOT = Path(benchmarks.__file__).parents[1]


def measure(options: argparse.Namespace) -> Measured:
    """Twenty trials of mutants and one of the named attacks; 100 mutants where `--quick`."""
    mutants = _QUICK if options.quick else A_TRIAL
    trials = [f"{number}:{mutants}" for number in range(count(options, all_of_them=10_000 // A_TRIAL, quick=1))]
    played = Ledger.of(options, "updates", *_MODULES).play([_ATTACKS, *trials], play)
    return Measured(_figures(played), provenance(played))


def play(trial: str) -> dict[str, Any]:
    """One registry and its mutants, or all named attacks."""
    if trial == _ATTACKS:
        return _attacks()
    number, mutants = (int(word) for word in trial.split(":"))
    with tempfile.TemporaryDirectory(prefix="lineside-updates-") as name:
        site = ServedSite(Path(name))
        with site.server.running():
            found = outcomes(site, range(number * mutants, (number + 1) * mutants))
    return {"mutants": mutants, **{kind: found[kind] for kind in (REFUSED, HARMLESS, ACCEPTED)}}


def _attacks() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="lineside-updates-") as name:
        report = Path(name) / "report.xml"
        words = [sys.executable, "-m", "pytest", "-q", "tests/edge_agent/test_updates.py", f"--junitxml={report}"]
        done = subprocess.run(words, cwd=_ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)
        if not report.exists():
            raise LinesideError(f"the attacks were not played: {done.stdout[-500:]}{done.stderr[-500:]}")
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))  # noqa: S314 - written by the line above
    failed = [
        case.get("name", "") for case in cases if case.find("failure") is not None or case.find("error") is not None
    ]
    return {"attacks": len(cases), "failed": failed}


def _figures(played: Sequence[Outcome]) -> list[Figure]:
    by_trial = {outcome.trial: outcome.found for outcome in played}
    named = by_trial.pop(_ATTACKS, {"attacks": 0, "failed": []})
    mutants, refused, harmless, accepted = (
        sum(found[name] for found in by_trial.values()) for name in ("mutants", REFUSED, HARMLESS, ACCEPTED)
    )
    note = f"{refused} refused, {harmless} ended with exactly what was published; accepted: {told(accepted, mutants)}"
    return [
        Figure(name="updates_mutants", value=mutants, note=note),
        Figure(name="updates_accepted", value=accepted, note="believed something that was not published"),
        Figure(name="updates_attacks", value=named["attacks"], note="tests of tests/edge_agent/test_updates.py"),
        Figure(name="updates_attacks_failed", value=len(named["failed"]), note=", ".join(named["failed"])[:200]),
    ]
