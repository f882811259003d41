"""What the drift vector and the statistics of the picture cost beside an inference."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.harness import Measured
from benchmarks.serving.over_http import written_pictures
from contracts.report import Figure
from edge_agent.inspection import Inspector
from runtime.bundle import open_bundle
from runtime.preprocessing import decode, prepare

_IMAGES = 8


def measure(options: argparse.Namespace) -> Measured:
    """Processor time of the vector of a 640x480 picture, entries of the picture itself included."""
    runs = 100 if options.quick else 1000
    with tempfile.TemporaryDirectory(prefix="lineside-serving-") as name:
        bundle = open_bundle(options.bundle)
        inspector = Inspector(bundle, variant="onnxruntime-cpu/int8")
        spec = bundle.manifest.preprocessing
        pictures = [decode(path.read_bytes(), spec) for path in written_pictures(options.data, Path(name))[:_IMAGES]]
        answers = [inspector.session.infer(prepare(picture, spec)) for picture in pictures]
        taken: list[float] = []
        for number in range(runs):
            each = number % len(pictures)
            began = time.thread_time()
            inspector.reference.vector(pictures[each], answers[each])
            taken.append(time.thread_time() - began)
    note = f"processor time, p50 of {runs}, 640x480, {len(answers[0].embedding)} dimensions"
    return Measured([Figure(name="vector_seconds", value=statistics.median(taken), unit="s", note=note)])
