"""Random weights suffice: which convolutions run in int8 (counted in onnxruntime's own optimised graph), the ratio of
latencies measured in turn, and the ratio of file sizes."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import Measured
from benchmarks.quantisation.backbones import BACKBONES, classifier, noise
from contracts.report import Figure
from exporter.fused import Fused, fused
from exporter.graph import export_graph
from exporter.quantise import quantise, simplify
from runtime.latency import measure_interleaved
from runtime.session import Session, Signature

_CALIBRATION_IMAGES = 4


@dataclass(frozen=True)
class Pair:
    """A network's float file and its int8 file."""

    fp32: Path
    int8: Path
    signature: Signature


def measure(options: argparse.Namespace) -> Measured:
    """Every backbone: export, quantise, count, time."""
    figures: list[Figure] = []
    details: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="lineside-quantisation-") as name:
        for architecture in BACKBONES:
            pair = _pair(architecture, Path(name))
            found = fused(pair.int8)
            figures += _counted(architecture, found) + _timed(architecture, pair, runs=20 if options.quick else 150)
            figures.append(_size(architecture, pair))
            details[architecture] = {"operators": found.operators, "fused": found.told()}
    return Measured(figures, details)


def _pair(architecture: str, folder: Path) -> Pair:
    module, signature = classifier(architecture)
    fp32, simplified, int8 = (folder / f"{architecture}.{kind}.onnx" for kind in ("fp32", "simplified", "int8"))
    export_graph(module, signature, fp32)
    simplify(fp32, simplified)
    quantise(simplified, int8, noise(_CALIBRATION_IMAGES))
    return Pair(fp32, int8, signature)


def _counted(architecture: str, found: Fused) -> list[Figure]:
    return [
        Figure(name=f"{architecture}_convolutions_float", value=len(found.floating), note=found.told()),
        Figure(
            name=f"{architecture}_float_share", value=found.float_share, note="of the convolutions' multiplications"
        ),
    ]


def _timed(architecture: str, pair: Pair, *, runs: int) -> list[Figure]:
    tensor = next(noise(1, seed=2))
    sessions = {
        kind: Session.of_model(file.read_bytes(), variant=kind, signature=pair.signature)
        for kind, file in (("fp32", pair.fp32), ("int8", pair.int8))
    }
    timed = measure_interleaved({kind: partial(each.infer, tensor) for kind, each in sessions.items()}, runs=runs)
    note = f"p50 of {runs}, one thread, batch 1, 224 pixels, measured in turn"
    ratio = timed["fp32"].p50_seconds / timed["int8"].p50_seconds
    return [
        *(
            Figure(name=f"{architecture}_{kind}_p50", value=each.p50_seconds, unit="s", note=note)
            for kind, each in timed.items()
        ),
        Figure(name=f"{architecture}_speedup", value=ratio, note="p50 of fp32 over p50 of int8, onnxruntime"),
    ]


def _size(architecture: str, pair: Pair) -> Figure:
    large, small = pair.fp32.stat().st_size, pair.int8.stat().st_size
    return Figure(name=f"{architecture}_size", value=small / large, note=f"{small} of {large} bytes")
