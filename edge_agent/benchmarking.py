"""`Benchmark` orders: what each variant of a bundle costs on this device, while the line goes on.

Nothing here is on the way of an image. Every variant runs in a process of its own that gives way to everything else
(the lowest priority, and the first to end where memory runs short), with the threads of one inference, a few answers at
a time; after each such block, and after each start of a process, it rests as long as that took.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from contracts.benchmark import Benchmark as Found
from contracts.errors import BundleError, ConfigurationError, OrderError, QuotaError
from contracts.orders import Benchmark
from edge_agent.activation import Bundles
from edge_agent.inspection import Inspector
from edge_agent.orders import Orders
from edge_agent.store import Store
from runtime.benchmark import Plan, benchmark
from runtime.bundle import open_bundle
from runtime.figures import figures

_BEAT_SECONDS = 0.5
_LONGEST_REST_SECONDS = 10.0
_LIMIT_SECONDS = 2 * 3600.0  # of one order
_MOST_BEGINNINGS = 3  # of one order that ends the agent each time
_BEGUN = "benchmark_begun"
_log = logging.getLogger(__name__)


class _Stopped(Exception):
    """The agent ends; the order is picked up at its next start."""


class Benchmarker:
    """Carries out benchmark orders in a thread of its own, one after the other. `threads` is what one inference has on
    this device, `fixed` the variant that the settings name."""

    def __init__(
        self,
        store: Store,
        orders: Orders,
        bundles: Bundles,
        *,
        active: Callable[[], Inspector | None],
        threads: int,
        fixed: str | None,
    ) -> None:
        self._store, self._orders, self._bundles = store, orders, bundles
        self._active, self._threads, self._fixed = active, threads, fixed
        self.doing: str | None = None
        """Which order is carried out, for people; None while none is."""

    def accept(self, order: Benchmark) -> None:
        """Raises OrderError where this device cannot carry it out."""
        cores = os.cpu_count() or 1
        if (order.threads or 1) > cores:
            raise OrderError(f"{order.threads} threads are asked for; this device has {cores} cores")
        self._place(order.bundle_hash)

    def run(self, stopping: threading.Event) -> None:
        """Until stopped: measure what is asked."""
        while not stopping.wait(_BEAT_SECONDS):
            for order in self._orders.open(Benchmark):
                try:
                    self._attend(order, stopping)
                except _Stopped:
                    return
                except QuotaError as error:
                    _log.error("benchmark %s waits: %s", order.order_id, error)
                    stopping.wait(_LONGEST_REST_SECONDS)

    def _attend(self, order: Benchmark, stopping: threading.Event) -> None:
        if order.expires_at <= datetime.now(UTC):
            self._orders.fail(order, "it expired before its turn came")
            return
        begun = self._begun(order)
        if begun >= _MOST_BEGINNINGS:
            self._orders.fail(order, f"the agent ended {begun} times while it was carried out; look at its memory")
            return
        self._note_begun(order, begun + 1)
        self.doing, self._bundles.measured = order.order_id, order.bundle_hash
        try:
            self._measure(order, stopping)
        except _Stopped:
            with contextlib.suppress(sqlite3.ProgrammingError):  # too late: the agent has let go of its database
                self._note_begun(order, begun)
            raise
        except (BundleError, ConfigurationError, OrderError, OSError) as error:
            _log.warning("benchmark %s: %s", order.order_id, error)
            self._orders.fail(order, str(error)[:1000])
        finally:
            self.doing = self._bundles.measured = None

    def _measure(self, order: Benchmark, stopping: threading.Event) -> None:
        """Measure, serve what was found, report, in this order: killed in between, it is measured again."""
        bundle = open_bundle(self._place(order.bundle_hash), expected_hash=order.bundle_hash)
        serving = self._serving(order.bundle_hash)
        plan = Plan(
            threads=(order.threads or self._threads,),
            runs=order.runs,
            incumbent=serving,
            engines=self._bundles.engines.folder,
            background=True,
        )
        found = benchmark(bundle, plan, progress=_giving_way(stopping))
        figures(found)  # before anything changes: what cannot be reported decides nothing
        remark = "" if serving is None else self._serve(order, found, serving)
        self._orders.finish(order, details=figures(found, remark=remark).model_dump(mode="json"))

    def _serve(self, order: Benchmark, found: Found, serving: str) -> str:
        """What was found to be faster takes the place of the serving variant; where it fails, nothing changes. Returns
        what came of it."""
        better = successor(found, serving, threads=self._threads)
        if better is None:
            return f"{serving} goes on serving"
        if self._serving(order.bundle_hash) != serving:
            return f"{serving} no longer serves; benchmark again"
        if self._fixed is not None:
            return f"{serving} goes on serving: the settings name it"
        why = f"a benchmark on this device (order {order.order_id}) found {better} to serve instead of {serving}"
        try:
            self._bundles.prefer(order.bundle_hash, better, why)
        except BundleError as error:
            _log.warning("bundle %s goes on with %s: %s", order.bundle_hash[:12], serving, error)
            return f"{serving} goes on serving: {error}"
        return f"{better} serves instead of {serving}"

    def _place(self, bundle_hash: str) -> Path:
        place = self._bundles.place(bundle_hash)
        if place is None:
            raise OrderError(
                f"bundle {bundle_hash[:12]} does not lie on this device: it can measure the bundle that it serves, the "
                "shadow and the one that served before"
            )
        return place

    def _serving(self, bundle_hash: str) -> str | None:
        """The variant that serves now, where it is one of that bundle."""
        active = self._active()
        return active.session.variant if active is not None and active.bundle.hash == bundle_hash else None

    def _begun(self, order: Benchmark) -> int:
        kept = json.loads(self._store.fact(_BEGUN) or "{}")
        return int(kept["times"]) if kept.get("order_id") == order.order_id else 0

    def _note_begun(self, order: Benchmark, times: int) -> None:
        self._store.remember(_BEGUN, json.dumps({"order_id": order.order_id, "times": times}))


def successor(found: Found, serving: str, *, threads: int) -> str | None:
    """The variant that should take the place of the serving one: chosen against it (`runtime.choice.choose`), in rows
    with the threads that serve. None where nothing was found out about the serving one."""
    measured = {row.variant for row in found.rows if row.threads == threads}
    if serving not in measured or found.chosen in (None, serving):
        return None
    return found.chosen


def _giving_way(stopping: threading.Event) -> Callable[..., None]:
    """For the progress of a benchmark: rests after each step as long as the step took.

    Raises _Stopped where the agent ends, BundleError where the whole takes too long.
    """
    last = began = time.monotonic()

    def rest(*_: object) -> None:
        nonlocal last
        if stopping.wait(min(time.monotonic() - last, _LONGEST_REST_SECONDS)):
            raise _Stopped
        last = time.monotonic()
        if last - began > _LIMIT_SECONDS:
            raise BundleError(f"it took more than {_LIMIT_SECONDS:.0f} s on this device; ask for fewer runs")

    return rest
