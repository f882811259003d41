"""A bundle that runs beside the active one on the same images. Its answers never reach the line.

It gets what it can keep up with: where it is busy, images pass it by. One that hangs, keeps failing or is far slower
than the active bundle is switched off.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from contracts.errors import BundleError
from contracts.frame import Decision
from edge_agent.inspection import Inspection, Inspector
from edge_agent.window import ShadowAnswer, WindowKey
from runtime.preprocessing import ImageError

_QUEUE = 16
_ENOUGH = 50  # answers before speed is judged
_BEAT_SECONDS = 0.5
_log = logging.getLogger(__name__)


@dataclass
class _Run:
    """One shadow bundle while it runs; `over` ends its thread."""

    inspector: Inspector
    images: queue.Queue[Inspection] = field(default_factory=lambda: queue.Queue(maxsize=_QUEUE))
    over: threading.Event = field(default_factory=threading.Event)
    busy_since: float | None = None  # monotonic
    failures_in_a_row: int = 0
    answers: int = 0
    seconds: float = 0.0
    active_seconds: float = 0.0


class ShadowRunner:
    """Starts, feeds, watches and stops the shadow bundle. `record` takes its answers; `count` their results."""

    def __init__(
        self,
        *,
        record: Callable[[ShadowAnswer], None],
        count: Callable[[str], None],
        disabled: Callable[[str, str], None],
        timeout_seconds: float,
        slower_than_active: float,
        failures_allowed: int,
    ) -> None:
        self._record, self._count, self._disabled = record, count, disabled
        self._timeout_seconds = timeout_seconds
        self._slower = slower_than_active
        self._failures_allowed = failures_allowed
        self._run: _Run | None = None

    @property
    def inspector(self) -> Inspector | None:
        """The shadow bundle, or None."""
        run = self._run
        return None if run is None else run.inspector

    def start(self, inspector: Inspector) -> None:
        """Run this bundle beside the active one from the next image on."""
        self.stop()
        run = _Run(inspector)
        self._run = run
        threading.Thread(target=self._answer_for_ever, args=(run,), name="shadow", daemon=True).start()

    def stop(self) -> None:
        """Run no shadow."""
        if self._run is not None:
            self._run.over.set()
            self._run = None

    def offer(self, inspection: Inspection) -> None:
        """Show it an image that was inspected; returns at once."""
        run = self._run
        if run is None or inspection.vector is None:
            return
        try:
            run.images.put_nowait(inspection)
        except queue.Full:
            self._count("skipped")
            self._check_hanging(run)

    def _answer_for_ever(self, run: _Run) -> None:
        while not run.over.is_set():
            try:
                inspection = run.images.get(timeout=_BEAT_SECONDS)
            except queue.Empty:
                continue
            run.busy_since = time.monotonic()
            answer = self._answer(run, inspection)
            run.busy_since = None
            if not run.over.is_set():
                self._record(answer)
                self._judge(run, answer, inspection.verdict.latency_seconds or 0.0)

    def _answer(self, run: _Run, inspection: Inspection) -> ShadowAnswer:
        started = time.perf_counter()
        decision = answer_of(run.inspector, inspection, self._timeout_seconds)
        frame = inspection.verdict.frame
        return ShadowAnswer(
            key=WindowKey(frame.camera, frame.product, inspection.verdict.bundle_hash or ""),
            shadow_hash=run.inspector.bundle.hash,
            active_decision=inspection.verdict.decision,
            decision=decision,
            latency_seconds=time.perf_counter() - started,
        )

    def _judge(self, run: _Run, answer: ShadowAnswer, active_seconds: float) -> None:
        self._count("failed" if answer.decision is None else "answered")
        run.failures_in_a_row = run.failures_in_a_row + 1 if answer.decision is None else 0
        run.answers += 1
        run.seconds += answer.latency_seconds
        run.active_seconds += active_seconds
        if run.failures_in_a_row >= self._failures_allowed:
            self._disable(run, f"it could not answer {run.failures_in_a_row} images in a row")
        elif run.answers >= _ENOUGH and run.seconds > self._slower * run.active_seconds:
            times = run.seconds / max(run.active_seconds, 1e-9)
            self._disable(run, f"it takes {times:.0f} times as long as the active bundle")

    def _check_hanging(self, run: _Run) -> None:
        since = run.busy_since
        if since is not None and time.monotonic() - since > 3 * self._timeout_seconds:
            self._disable(run, f"it has hung on one image for {time.monotonic() - since:.0f} s")

    def _disable(self, run: _Run, reason: str) -> None:
        if self._run is run and not run.over.is_set():
            self.stop()
            _log.warning("shadow bundle %s is switched off: %s", run.inspector.bundle.hash[:12], reason)
            self._disabled(run.inspector.bundle.hash, reason)


def answer_of(inspector: Inspector, inspection: Inspection, limit_seconds: float) -> Decision | None:
    """The decision of another bundle on an inspected image, which it decodes as it needs it: at its own scale, and with
    its own places hidden. None where it has none."""
    if inspection.pixels is None:
        return None
    try:
        inference = inspector.infer(inspector.pixels(inspection.capture), limit_seconds=limit_seconds)
    except (BundleError, ImageError):
        return None
    return inspector.decide(inference, inspection.verdict.frame.product)[0].decision
