"""Engines of variants that need one, built in the background while another variant serves."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from pathlib import Path

from contracts.bundle import Variant
from contracts.errors import BundleError
from edge_agent.patience import patience
from runtime.bundle import Bundle
from runtime.targets import Builds, targets

_BEAT_SECONDS = 0.5
_log = logging.getLogger(__name__)


class Engines:
    """Builds one engine after the other. `built(bundle)` is called, in its thread, after each that can be used.

    One that cannot be built is not tried again before the next start: the reason is in the log, the other variant goes
    on serving.
    """

    def __init__(self, folder: Path, *, built: Callable[[Bundle], None]) -> None:
        self.folder, self._built = folder, built
        self._wanted: queue.SimpleQueue[tuple[Bundle, Variant] | None] = queue.SimpleQueue()  # None: `wake`
        self._seen: set[tuple[str, str]] = set()
        self.building: str | None = None
        """What is being built, and how far, for people; None while nothing is."""

    def want(self, bundle: Bundle, variant: Variant) -> None:
        """Build the engine of this variant soon; returns at once. The same one is built once."""
        key = (bundle.hash, variant.name)
        if key not in self._seen:
            self._seen.add(key)
            self._wanted.put((bundle, variant))

    def wake(self) -> None:
        """Look at once whether it is over."""
        self._wanted.put(None)

    def run(self, stopping: threading.Event) -> None:
        """Until stopped: build what is wanted. A build under way ends at its next step."""
        while not stopping.is_set():
            try:
                wanted = self._wanted.get(timeout=_BEAT_SECONDS)
            except queue.Empty:
                continue
            if wanted is not None:
                bundle, variant = wanted
                with patience(f"the engine of {variant.name}", stopping):
                    self._build(bundle, variant, stopping)

    def _build(self, bundle: Bundle, variant: Variant, stopping: threading.Event) -> None:
        def progress(phase: str, share: float) -> bool:
            self.building = f"{variant.name}: {phase} {share:.0%}"
            return not stopping.is_set()

        target = targets()[variant.target]
        if not isinstance(target, Builds):
            return
        _log.info("building the engine of %s of bundle %s", variant.name, bundle.hash[:12])
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            target.build(
                bundle.read(variant.file),
                precision=variant.precision,
                file=f"{variant.file} of bundle {bundle.hash[:12]}",
                engines=self.folder,
                progress=progress,
            )
        except (BundleError, OSError) as error:
            _log.warning("the engine of %s of bundle %s is not built: %s", variant.name, bundle.hash[:12], error)
        else:
            if not stopping.is_set():
                self._built(bundle)
        finally:
            self.building = None
