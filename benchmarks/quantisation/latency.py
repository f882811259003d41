"""Random weights suffice: which convolutions run in int8 (counted in onnxruntime's own optimised graph), the ratio of
latencies measured in turn, and the ratio of file sizes."""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import Measured
from benchmarks.quantisation.backbones import BACKBONES, classifier, noise
from contracts.report import Figure
from exporter.fused import Fused, fused
from exporter.graph import export_graph, shrink_file
from exporter.quantise import quantise, sensitive_stem, simplify
from runtime.latency import measure_interleaved
from runtime.session import Session, Signature

_CALIBRATION_IMAGES = 4


@dataclass(frozen=True)
class Pair:
    """A network's float file, its int8 file with every convolution in int8, and the one whose stem stays in float,
    where it has a stem that the exporter keeps so."""

    fp32: Path
    int8: Path
    stem: Path | None
    signature: Signature


def measure(options: argparse.Namespace) -> Measured:
    """Every backbone: export, quantise, count, time."""
    figures: list[Figure] = []
    details: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="lineside-quantisation-") as name:
        for architecture in BACKBONES:
            pair = quantised_pair(architecture, Path(name))
            found = fused(pair.int8)
            figures += _counted(architecture, found) + _timed(architecture, pair, runs=20 if options.quick else 150)
            figures.append(_size(architecture, pair))
            details[architecture] = {"operators": found.operators, "fused": found.told()}
    return Measured(figures, details)


def quantised_pair(architecture: str, folder: Path) -> Pair:
    """The files of a backbone with random weights, written to `folder`."""
    module, signature = classifier(architecture)
    fp32, simplified, int8 = (folder / f"{architecture}.{kind}.onnx" for kind in ("fp32", "simplified", "int8"))
    export_graph(module, signature, fp32)
    simplify(fp32, simplified)
    quantise(simplified, int8, noise(_CALIBRATION_IMAGES))
    shrink_file(int8)
    stem, kept = folder / f"{architecture}.stem.onnx", sensitive_stem(simplified)
    if kept:
        quantise(simplified, stem, noise(_CALIBRATION_IMAGES), keep_float=kept)
        shrink_file(stem)
    return Pair(fp32, int8, stem if kept else None, signature)


def _counted(architecture: str, found: Fused) -> list[Figure]:
    return [
        Figure(name=f"{architecture}_convolutions_float", value=len(found.floating), note=found.told()),
        Figure(
            name=f"{architecture}_float_share", value=found.float_share, note="of the convolutions' multiplications"
        ),
    ]


def _timed(architecture: str, pair: Pair, *, runs: int) -> list[Figure]:
    """By the processor time of the one thread, which what else the machine does in the meantime does not count in."""
    tensor = next(noise(1, seed=2))
    files = {"fp32": pair.fp32, "int8": pair.int8} | ({"stem": pair.stem} if pair.stem else {})
    sessions = {
        kind: Session.of_model(file.read_bytes(), variant=kind, signature=pair.signature)
        for kind, file in files.items()
    }
    calls = {kind: partial(session.infer, tensor) for kind, session in sessions.items()}
    seconds = {
        kind: each.p50_seconds for kind, each in measure_interleaved(calls, runs=runs, clock=time.thread_time).items()
    }
    note = f"processor time, p50 of {runs}, one thread, batch 1, 224 pixels, measured in turn"
    figures = [
        Figure(name=f"{architecture}_{kind}_p50", value=each, unit="s", note=note) for kind, each in seconds.items()
    ]
    for kind, name in (("int8", "speedup"), ("stem", "float_stem_speedup")):
        if kind in seconds:
            ratio = seconds["fp32"] / seconds[kind]
            figures.append(Figure(name=f"{architecture}_{name}", value=ratio, note=f"p50 of fp32 over p50 of {kind}"))
    return figures


def _size(architecture: str, pair: Pair) -> Figure:
    large, small = pair.fp32.stat().st_size, pair.int8.stat().st_size
    return Figure(name=f"{architecture}_size", value=small / large, note=f"{small} of {large} bytes")
