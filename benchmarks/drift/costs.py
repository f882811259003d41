"""What drift costs: a vector and image statistics of a VGA picture, bytes of a camera-minute, bytes of a profile."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.plant import IMAGES, NAMES
from benchmarks.harness import Measured
from contracts.frame import Decision
from contracts.report import Figure
from contracts.telemetry import CONFIDENCE_EDGES, LATENCY_EDGES_SECONDS, Envelope, Histogram, Window
from drift.profile import MOST_WINDOWS, Commissioning, ProfileKey
from drift.vector import VectorReference, fit_reference
from drift.window import rounded
from edge_agent.window import SENT_DIGITS

_WIDTH, _COMPONENTS, _LABELS = 1280, 16, 2

Floats = NDArray[np.floating[Any]]


def measure(options: argparse.Namespace) -> Measured:
    """Every cost."""
    rng = np.random.default_rng(options.seed)
    return Measured([_of_an_image(rng, 200 if options.quick else 3000), *_of_a_minute(rng), _of_a_profile(rng)])


def _of_an_image(rng: np.random.Generator, times: int) -> Figure:
    """By the processor's clock, since other programs of the machine are no cost of ours."""
    embeddings = rng.normal(size=(100, _WIDTH)).astype(np.float32)
    logits = rng.normal(size=(100, _LABELS)).astype(np.float32)
    reference = VectorReference.of(
        fit_reference(embeddings, logits, logits.argmax(axis=1), components=_COMPONENTS), source="planted"
    )
    image = rng.integers(256, size=(480, 640, 3), dtype=np.uint8)
    inference = SimpleNamespace(logits=logits[0], embedding=embeddings[0])
    seconds = []
    for _ in range(times):
        began = time.thread_time_ns()
        reference.vector(image, inference)
        seconds.append((time.thread_time_ns() - began) / 1e9)
    half, usual, most = np.quantile(seconds, (0.025, 0.5, 0.975))
    return Figure(
        name="vector_seconds",
        value=float(usual),
        unit="s",
        interval=(float(half), float(most)),
        note=f"vector of {_WIDTH:,} dimensions with image statistics at 640 x 480, processor time; median and middle "
        f"95 % of {times}",
    )


def _of_a_minute(rng: np.random.Generator) -> Iterator[Figure]:
    vectors = rng.normal(size=(IMAGES, len(NAMES))).astype(np.float32).astype(np.float64)
    window = _window(vectors)
    sent = window.ended_at + timedelta(seconds=0.123456)
    message = Envelope(
        agent="agent-1", boot="0" * 32, sequence=100_000, sent_at=sent, oldest_held=100_000, body=window
    ).model_dump_json()
    sums = {"vector_sum": window.vector_sum, "vector_square_sum": window.vector_square_sum}
    note = f"JSON, {len(NAMES)} entries, {IMAGES} images"
    yield Figure(name="drift_sums_bytes", value=len(json.dumps(sums)), unit="bytes", note=f"both sums; {note}")
    yield Figure(name="minute_bytes", value=len(message), unit="bytes", note=f"the whole message; {note}")


def _window(vectors: Floats) -> Window:
    start = datetime(2026, 1, 5, tzinfo=UTC)
    return Window(
        camera="camera-1",
        product="default",
        bundle_hash="0" * 64,
        runtime="onnxruntime-cpu 1.31.0",
        started_at=start,
        ended_at=start + timedelta(minutes=1),
        first_frame=100_000,
        last_frame=100_000 + IMAGES - 1,
        images=IMAGES,
        vector_names=NAMES,
        vector_sum=rounded(vectors.sum(axis=0), SENT_DIGITS),
        vector_square_sum=rounded((vectors**2).sum(axis=0), SENT_DIGITS),
        decisions={Decision.OK: IMAGES // 2, Decision.NG: IMAGES // 2},
        labels={"good": IMAGES // 2, "defect": IMAGES // 2},
        confidence=Histogram(edges=CONFIDENCE_EDGES, counts=(IMAGES // 20,) * (len(CONFIDENCE_EDGES) - 1)),
        latency=Histogram(edges=LATENCY_EDGES_SECONDS, counts=(IMAGES // 20,) * (len(LATENCY_EDGES_SECONDS) - 1)),
        latency_seconds_sum=1.234567,
        size=(1920, 1200),
    )


def _of_a_profile(rng: np.random.Generator) -> Figure:
    """As long as a commissioning can be, with roll-ups."""
    key = ProfileKey(bundle_hash="0" * 64, camera="agent/camera-1/part", product="part", runtime="onnxruntime-cpu")
    commissioning = Commissioning(key=key, windows_needed=MOST_WINDOWS)
    means = rng.normal(size=(MOST_WINDOWS, len(NAMES)))
    profile = commissioning.add_all(NAMES, means, np.ones(len(NAMES)), IMAGES).profile()
    note = f"JSON, {len(NAMES)} entries, {MOST_WINDOWS} windows, the profile of roll-ups in it"
    return Figure(name="profile_bytes", value=len(profile.model_dump_json()), unit="bytes", note=note)
