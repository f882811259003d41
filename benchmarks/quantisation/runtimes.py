"""Which runtime of this machine answers fastest with which file, whether a second run would keep it, and how much
faster than onnxruntime's fp32 that is. Of int8 there are both files that an export can make: all of it, and with the
stem in float where the exporter keeps it so."""

from __future__ import annotations

import argparse
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import Measured
from benchmarks.quantisation.backbones import noise
from benchmarks.quantisation.latency import Pair, quantised_pair
from contracts.report import Figure
from exporter.export import FILES
from exporter.variants import planned
from runtime.choice import fastest
from runtime.latency import fair_clock, interleaved_seconds
from runtime.session import TARGET, Session

NETWORKS = ("resnet18", "mobilenetv2_100")
REFERENCE = f"{TARGET}/fp32"
STEM = " with a float stem"
_RUNS = 100

Seconds = dict[str, list[float]]


def measure(options: argparse.Namespace) -> Measured:
    """Both networks, twice each."""
    figures: list[Figure] = []
    details: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="lineside-runtimes-") as name:
        for architecture in NETWORKS:
            pair = quantised_pair(architecture, Path(name))
            runs = [_seconds(pair, runs=20 if options.quick else _RUNS) for _ in range(2)]
            figures += judged(architecture, runs)
            details[architecture] = [
                {variant: statistics.median(values) for variant, values in each.items()} for each in runs
            ]
    return Measured(figures, details)


def _seconds(pair: Pair, *, runs: int) -> Seconds:
    """Of an answer of every variant in turn, loaded anew: onnxruntime's int8 first, as an export orders them."""
    files = {"fp32": pair.fp32, "int8": pair.int8}
    wanted = {each.name: (each.name, files[each.precision]) for each in planned(FILES)}
    if pair.stem is not None:
        wanted |= {each.name + STEM: (each.name, pair.stem) for each in planned(FILES) if each.precision == "int8"}
    sessions = {
        name: Session.of_model(file.read_bytes(), variant=variant, signature=pair.signature)
        for name, (variant, file) in wanted.items()
    }
    tensor = next(noise(1, seed=2))
    calls = {name: partial(session.infer, tensor) for name, session in sessions.items()}
    return interleaved_seconds(calls, runs=runs, clock=fair_clock(sessions.values()))


def judged(architecture: str, runs: list[Seconds]) -> list[Figure]:
    """What the first run chooses, whether nothing is surely faster than it in the others, and its speed-up."""
    chosen, why = fastest(runs[0])
    again = [fastest({chosen: seconds[chosen], **seconds})[0] for seconds in runs[1:]]
    ratios = [slow / quick for slow, quick in zip(runs[0][REFERENCE], runs[0][chosen], strict=True)]
    note = f"{chosen} against {REFERENCE}; median of {len(ratios)} rounds, processor time, one thread; {why}"
    return [
        Figure(name=f"{architecture}_chosen_speedup", value=statistics.median(ratios), note=note),
        Figure(
            name=f"{architecture}_choice_again",
            value=float(set(again) == {chosen}),
            note=f"1 where a second run finds nothing that is surely faster than {chosen} by 5 %",
        ),
    ]
