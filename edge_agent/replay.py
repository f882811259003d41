"""`Replay` orders: the shadow bundle answers the images that the station kept, before it sees the line."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from contracts.errors import BundleError
from contracts.frame import Decision
from contracts.orders import Replay
from contracts.telemetry import Event, EventKind
from edge_agent.buffer import ImageBuffer
from edge_agent.inspection import Inspector
from edge_agent.kept import KeptImage
from edge_agent.orders import Orders
from edge_agent.outbox import Outbox
from edge_agent.patience import patience
from edge_agent.store import Store
from edge_agent.window import ShadowAnswer, ShadowSums, WindowKey
from runtime.preprocessing import ImageError, decode

_BEAT_SECONDS = 0.5
_LIMIT_SECONDS = 2.0
_log = logging.getLogger(__name__)


class Replayer:
    """Carries out replay orders in a thread of its own, giving way to the line."""

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        orders: Orders,
        buffer: ImageBuffer,
        *,
        active: Callable[[], Inspector | None],
        shadow: Callable[[], Inspector | None],
    ) -> None:
        self._store, self._outbox, self._orders, self._buffer = store, outbox, orders, buffer
        self._active, self._shadow = active, shadow

    def run(self, stopping: threading.Event) -> None:
        """Until stopped: replay what is asked once the shadow bundle is there."""
        while not stopping.wait(_BEAT_SECONDS):
            with patience("a replay", stopping):
                for order in self._orders.open(Replay):
                    self._attend(order, stopping)

    def _attend(self, order: Replay, stopping: threading.Event) -> None:
        shadow, active = self._shadow(), self._active()
        if shadow is not None and active is not None and shadow.bundle.hash == order.bundle_hash:
            sums = self.replay(order, active, shadow, stopping)
            if not stopping.is_set():
                self._report(order, sums)
        elif order.expires_at <= datetime.now(UTC):
            self._orders.fail(order, f"bundle {order.bundle_hash[:12]} did not run as shadow in time")

    def replay(self, order: Replay, active: Inspector, shadow: Inspector, stopping: threading.Event) -> ShadowSums:
        """What the shadow answers on the newest kept images, against the active bundle."""
        sums = ShadowSums(shadow.bundle.hash)
        for image in self._buffer.newest_drawn(order.images):
            if stopping.is_set() or self._shadow() is not shadow:
                break
            began = time.perf_counter()
            answer = _compare(image, active, shadow)
            if answer is not None:
                sums.add(answer)
            stopping.wait(time.perf_counter() - began)  # at most half of one core
        return sums

    def _report(self, order: Replay, sums: ShadowSums) -> None:
        event = Event(
            event=EventKind.REPLAY_FINISHED,
            at=datetime.now(UTC),
            bundle_hash=order.bundle_hash,
            order_id=order.order_id,
            details=sums.summary().model_dump(mode="json"),
        )
        with self._store.transaction():
            self._outbox.add(event)
            self._orders.finish(order, details=event.details)


def _compare(image: KeptImage, active: Inspector, shadow: Inspector) -> ShadowAnswer | None:
    """None where the file is gone or the active bundle has no answer either."""
    try:
        data = image.path.read_bytes()
    except OSError:
        return None
    expected = Decision(image.decision) if image.bundle_hash == active.bundle.hash else _decision(active, image, data)
    if expected is None:
        return None
    started = time.perf_counter()
    decision = _decision(shadow, image, data)
    return ShadowAnswer(
        key=WindowKey(image.camera, image.product, active.bundle.hash),
        shadow_hash=shadow.bundle.hash,
        active_decision=expected,
        decision=decision,
        latency_seconds=time.perf_counter() - started,
    )


def _decision(inspector: Inspector, image: KeptImage, data: bytes) -> Decision | None:
    spec = inspector.bundle.manifest.preprocessing
    try:
        inference = inspector.infer(decode(data, spec), limit_seconds=_LIMIT_SECONDS)
    except (BundleError, ImageError):
        return None
    return inspector.decide(inference, image.product)[0].decision
