"""Telemetry as an agent would send it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.frame import Decision
from contracts.telemetry import (
    CONFIDENCE_EDGES,
    LATENCY_EDGES_SECONDS,
    Birth,
    CameraState,
    Envelope,
    Event,
    EventKind,
    Histogram,
    Window,
)

START = datetime(2026, 3, 1, 6, 0, tzinfo=UTC)
HASH = "a" * 64
NAMES = ("margin", "mean", "pc-01", "class-scratch")


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def window(number: int = 0, **changes: Any) -> Window:
    """The window of minute `number`, 100 images, changed as asked."""
    values: dict[str, Any] = {
        "camera": "cam-a",
        "product": "cap",
        "bundle_hash": HASH,
        "runtime": "onnxruntime-cpu 1.31",
        "started_at": START + minutes(number),
        "ended_at": START + minutes(number + 1),
        "first_frame": number * 100,
        "last_frame": number * 100 + 99,
        "images": 100,
        "vector_names": NAMES,
        "vector_sum": (300.0, 50.0, 0.0, 20.0),
        "vector_square_sum": (1000.0, 30.0, 100.0, 20.0),
        "decisions": {Decision.OK: 80, Decision.NG: 20},
        "labels": {"good": 80, "scratch": 20},
        "confidence": Histogram(edges=CONFIDENCE_EDGES, counts=(0,) * 19 + (100,)),
        "latency": Histogram(edges=LATENCY_EDGES_SECONDS, counts=(100,) + (0,) * 10),
        "latency_seconds_sum": 0.2,
    }
    return Window(**(values | changes))


def birth(**changes: Any) -> Birth:
    values: dict[str, Any] = {
        "software_version": "0.1",
        "started_at": START,
        "cameras": (CameraState(camera="cam-a", product="cap", source="simulated"),),
        "bundle_hash": HASH,
        "release_number": 1,
        "channel_sequence": 1,
        "runtime": "onnxruntime-cpu 1.31",
        "production": False,
    }
    return Birth(**(values | changes))


def dropped(last: int) -> Event:
    return Event(event=EventKind.DROPPED, at=START, last_sequence=last, reason="outbox full")


def envelope(sequence: int, body: Any, *, agent: str = "agent-1", boot: str = "boot-1", **changes: Any) -> Envelope:
    return Envelope(agent=agent, boot=boot, sequence=sequence, sent_at=START + minutes(sequence), body=body, **changes)
