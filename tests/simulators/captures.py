"""Frames, captures and inspections made from a few numbers, and a source that yields what a test gives it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from contracts.frame import Decision, Frame, Verdict
from edge_agent.inspection import Inspection
from edge_agent.source import Capture
from tests.simulators.small_bundle import picture

START = datetime(2026, 3, 1, 6, 0, tzinfo=UTC)
HASH = "a" * 64
NAMES = ("margin", "mean")


def frame(sequence: int, *, camera: str = "cam-a", product: str = "cap", seconds: float | None = None) -> Frame:
    """Frame number `sequence`, one a second unless `seconds` after START is given."""
    return Frame(
        part_id=f"{camera}-{sequence}",
        sequence=sequence,
        camera=camera,
        product=product,
        triggered_at=START + timedelta(seconds=sequence if seconds is None else seconds),
    )


def inspection(
    sequence: int,
    *,
    camera: str = "cam-a",
    product: str = "cap",
    seconds: float | None = None,
    bundle_hash: str = HASH,
    vector: Sequence[float] | None = (1.0, 0.5),
    decision: Decision = Decision.OK,
    distance: float = 1.0,
    defect_score: float = 0.1,
) -> Inspection:
    """An inspected image; without a vector it has no verdict."""
    shown = frame(sequence, camera=camera, product=product, seconds=seconds)
    pixels = picture(100, sequence)
    if vector is None:
        verdict = Verdict(frame=shown, decision=Decision.NO_VERDICT, bundle_hash=bundle_hash, reason="unreadable")
        return Inspection(Capture(shown, pixels), verdict)
    verdict = Verdict(
        frame=shown,
        decision=decision,
        label="good" if decision is Decision.OK else "scratch",
        scores={"good": 1.0 - defect_score, "scratch": defect_score},
        defect_score=defect_score,
        threshold=0.5,
        bundle_hash=bundle_hash,
        latency_seconds=0.002,
    )
    return Inspection(
        Capture(shown, pixels), verdict, pixels, np.array(vector, np.float32), confidence=0.9, distance=distance
    )


class ListSource:
    """Yields the given pictures as captures of one camera, then says "nothing at the moment" until closed."""

    name = "list"

    def __init__(self, pictures: Sequence[NDArray[np.uint8] | bytes], *, camera: str = "cam-a", first: int = 0) -> None:
        self._pictures, self._camera, self._first = pictures, camera, first
        self._closed = threading.Event()
        self.finished = threading.Event()

    def captures(self) -> Iterator[Capture | None]:
        """One capture for each picture."""
        for number, shown in enumerate(self._pictures, self._first):
            if self._closed.is_set():
                return
            yield Capture(frame(number, camera=self._camera), shown)
        yield None
        self.finished.set()
        while not self._closed.wait(0.02):
            yield None

    def close(self) -> None:
        """No more."""
        self._closed.set()
