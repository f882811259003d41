"""Four times the capacity: what is still answered, how fast the rest is refused, and whether `/live` is.

The station is a process of its own whose model takes 20 ms, so its two workers do a hundred images a second. First four
clients that each wait for their answer say what it does; then triggers come at four times that, on schedule, from the
process that plays the line test's cameras. A short form is in every test run: `tests/edge_agent/test_web_inspect.py`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.agent import post, saturated
from benchmarks.faults.alone import Alone, alone
from benchmarks.faults.ledger import Ledger, Outcome, count, provenance
from benchmarks.harness import Measured
from benchmarks.line.cadence import Cadence
from benchmarks.line.cameras import triggering
from benchmarks.line.client import LATER
from benchmarks.line.ledger import Part, quantile, read_ledger
from contracts.report import Figure
from tests.simulators.small_bundle import encoded, picture

MODEL_SECONDS, TIMES = 0.02, 4
_SECONDS, _QUICK = 30.0, 5.0
_MODULES = ("benchmarks.faults.overload", "edge_agent.agent")
_LIVE_EVERY_SECONDS = 0.05
_PICTURES = 50


def measure(options: argparse.Namespace) -> Measured:
    """Five times 30 s; once 5 s where `--quick`."""
    seconds = _QUICK if options.quick else _SECONDS
    trials = [f"{number}:{seconds:g}" for number in range(count(options, all_of_them=5, quick=1))]
    outcomes = Ledger.of(options, "overload", *_MODULES).play(trials, play)
    return Measured(_figures(outcomes), {**provenance(outcomes), "trials": {o.trial: o.found for o in outcomes}})


def play(trial: str) -> dict[str, Any]:
    """One station, at capacity and far beyond."""
    seconds = float(trial.partition(":")[2])
    with tempfile.TemporaryDirectory(prefix="lineside-overload-") as name, _slow(Path(name)) as station:
        url, images = f"http://127.0.0.1:{station.port}", written(Path(name))
        bodies = [path.read_bytes() for path in images]
        capacity = saturated(lambda number: post(url, bodies[number % _PICTURES])[0] == 200, seconds / 3)
        cameras, files = ("cam-a", "cam-b"), tuple(map(str, images))
        cadence = Cadence(f"{url}/v1/inspect", cameras, TIMES * capacity, seconds, files)
        with _Probe(station) as probe, triggering(cadence, Path(name) / "ledger"):
            pass
        return judged(read_ledger(Path(name) / "ledger"), probe.seconds, capacity=capacity, cadence=cadence)


def _slow(folder: Path) -> Any:
    return alone(folder, words=lambda config: ["benchmarks.faults.slow_station", str(config), str(MODEL_SECONDS)])


def written(folder: Path) -> list[Path]:
    """Pictures of parts, all different."""
    paths = [folder / f"part-{number}.png" for number in range(_PICTURES)]
    for number, path in enumerate(paths):
        path.write_bytes(encoded(picture(90, number)))
    return paths


class _Probe:
    """Asks `/live` twenty times a second; `seconds` of each answer."""

    def __init__(self, station: Alone) -> None:
        self._station, self._over = station, threading.Event()
        self.seconds: list[float] = []
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> _Probe:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._over.wait(_LIVE_EVERY_SECONDS):
            began = time.monotonic()
            status = self._station.get("/live", seconds=30.0)[0]
            self.seconds.append(time.monotonic() - began if status == 200 else 30.0)


def judged(parts: Sequence[Part], live: Sequence[float], *, capacity: float, cadence: Cadence) -> dict[str, Any]:
    """What the ledger says of one run."""
    good = [part for part in parts if part.has_verdict]
    refused = sorted(part.answered - part.sent for part in parts if part.status == 503 and part.decision == LATER)
    in_time = sum(part.answered <= cadence.seconds for part in good)
    return {
        "capacity": round(capacity, 2),
        "offered": cadence.triggers,
        "statuses": dict(Counter(str(part.status) for part in parts)),
        "goodput": round(in_time / cadence.seconds, 2),
        "goodput_share": round(in_time / cadence.seconds / capacity, 4),
        "refusal_p99_seconds": quantile(refused, 0.99),
        "live_p99_seconds": quantile(sorted(live), 0.99),
        "good_p99_seconds": quantile(sorted(part.answered - part.sent for part in good), 0.99),
        "others": cadence.triggers - len(good) - len(refused),
    }


def _figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    def median(name: str) -> float | None:
        found = [outcome.found[name] for outcome in outcomes if outcome.found[name] is not None]
        return statistics.median(found) if found else None

    note = f"median of {len(outcomes)} runs at {TIMES} times {median('capacity') or 0:.0f}/s"
    shares = [outcome.found["goodput_share"] for outcome in outcomes]
    spread = f"{min(shares):.3f} to {max(shares):.3f}; " if shares else ""
    others = sum(outcome.found["others"] for outcome in outcomes)
    return [
        Figure(name="overload_goodput", value=median("goodput_share"), note=f"of that at capacity; {spread}{note}"),
        Figure(name="overload_refusal_p99", value=median("refusal_p99_seconds"), unit="s", note=f"503; {note}"),
        Figure(name="overload_live_p99", value=median("live_p99_seconds"), unit="s", note=f"/live; {note}"),
        Figure(name="overload_answer_p99", value=median("good_p99_seconds"), unit="s", note=f"with a verdict; {note}"),
        Figure(name="overload_others", value=others, note="neither a verdict nor 503 with Retry-After"),
    ]
