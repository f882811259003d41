"""Bundles that products bring along: loaded beside the line when a changeover asks for one, and kept while there is
room. Until one is loaded, the parts of its product get no verdict: "changing over"."""

from __future__ import annotations

import logging
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from contracts.errors import BundleError
from edge_agent.inspection import Inspector
from edge_agent.products.settings import BundleSettings, ProductSettings
from edge_agent.trouble import Trouble

_BEAT_SECONDS = 0.5
_log = logging.getLogger(__name__)


class Shelf:
    """`load` opens, tries and probes a bundle and raises BundleError where it may not serve; `refused` gives the hashes
    that must not run, with the reason."""

    def __init__(
        self,
        products: Sequence[ProductSettings],
        load: Callable[[BundleSettings], Inspector],
        *,
        refused: Callable[[], Mapping[str, str]],
        keep: int,
    ) -> None:
        self._bundles = {product.name: product.bundle for product in products if product.bundle is not None}
        self._load, self._refused, self._keep = load, refused, keep
        self._lock = threading.Lock()
        self._loaded: OrderedDict[str, Inspector] = OrderedDict()  # product -> its bundle; the newest used last
        self._failed: dict[str, str] = {}
        self._wanted: queue.SimpleQueue[str | None] = queue.SimpleQueue()  # None: `wake`
        self._waiting: set[str] = set()

    @property
    def inspectors(self) -> list[Inspector]:
        """All that are loaded."""
        with self._lock:
            return list(self._loaded.values())

    @property
    def trouble(self) -> Trouble | None:
        """Which products cannot be judged, and why; None: all can."""
        with self._lock:
            failed = dict(self._failed)
        if not failed:
            return None
        told = "; ".join(f"the bundle of product {name} does not serve: {why}" for name, why in failed.items())
        return Trouble(told, code="product-bundle", details="; ".join(failed.values()), products=", ".join(failed))

    def place(self, bundle_hash: str) -> Path | None:
        """Where the bundle of that hash lies, if a product brings it along."""
        return next((each.path for each in self._bundles.values() if each.hash == bundle_hash), None)

    def begin(self, product: str) -> None:
        """Load what the product needs, beside the line; returns at once."""
        with self._lock:
            needed = product in self._bundles and product not in self._loaded and product not in self._waiting
            if needed:
                self._waiting.add(product)
        if needed:
            self._wanted.put(product)

    def choose(self, product: str, active: Inspector) -> Inspector | str:
        """What judges this product now: its own bundle, else the station's; or why nothing does."""
        if product not in self._bundles:
            return active
        with self._lock:
            inspector, why = self._loaded.get(product), self._failed.get(product)
            if inspector is not None:
                self._loaded.move_to_end(product)
                return inspector
        if why is not None:
            return f"the bundle of product {product} does not serve: {why}"
        self.begin(product)
        return f"changing over to {product}: its bundle is being loaded"

    def wake(self) -> None:
        """Look at once whether it is over."""
        self._wanted.put(None)

    def run(self, stopping: threading.Event) -> None:
        """Until stopped: load what is wanted, and take away what has been refused meanwhile."""
        while not stopping.is_set():
            try:
                product = self._wanted.get(timeout=_BEAT_SECONDS)
            except queue.Empty:
                self._drop_refused()
                continue
            if product is not None:
                self._fetch(product)

    def _fetch(self, product: str) -> None:
        bundle, why = self._bundles[product], None
        try:
            if (refusal := self._refused().get(bundle.hash)) is not None:
                raise BundleError(f"bundle {bundle.hash[:12]} is refused: {refusal}")
            inspector = self._load(bundle)
        except (BundleError, OSError) as error:
            why = str(error)
            _log.error("product %s cannot be judged: %s", product, error)
        with self._lock:
            self._waiting.discard(product)
            if why is not None:
                self._failed[product] = why
                return
            self._loaded[product] = inspector
            while len(self._loaded) > self._keep:
                self._loaded.popitem(last=False)

    def _drop_refused(self) -> None:
        refused = self._refused()
        with self._lock:
            for product, inspector in list(self._loaded.items()):
                if inspector.bundle.hash in refused:
                    del self._loaded[product]
                    self._failed[product] = refused[inspector.bundle.hash]
