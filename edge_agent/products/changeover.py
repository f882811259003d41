"""Which product is before a camera: by what came with the image, by what the line said, or by the settings.

A code that nobody knows is remembered as unknown: parts after it get no verdict, and not that of the product before.
What the line said is not kept over a restart: it may have changed over meanwhile, and a stale name is a guess.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from contracts.errors import OrderError
from edge_agent.products.settings import UNKNOWN, ChangeoverSettings, ProductSettings
from edge_agent.source import Capture
from edge_agent.trouble import Trouble


@dataclass(frozen=True)
class Said:
    """What the line said: the product, or None and why there is none."""

    code: str
    product: str | None
    why: str | None = None


class Changeover:
    """Thread-safe. `begins` is called with a product as soon as the line names it, so that its bundle can be loaded."""

    def __init__(
        self,
        products: Sequence[ProductSettings],
        settings: ChangeoverSettings,
        *,
        begins: Callable[[str], None] = lambda product: None,
    ) -> None:
        self._names = {code: product.name for product in products for code in (product.name, *product.codes)}
        self._by_line = settings.product_from == "line"
        self._begins = begins
        self._lock = threading.Lock()
        self._said: dict[str | None, Said] = {}  # camera, or None for all

    @property
    def trouble(self) -> Trouble | None:
        """Which cameras wait for a product that is known, in plain words; None: none do."""
        with self._lock:
            unknown = {camera: said for camera, said in self._said.items() if said.product is None}
        if not unknown:
            return None
        told = "; ".join(f"{camera or 'line'}: {said.why}" for camera, said in unknown.items())
        return Trouble(told, code="product-unknown", codes=", ".join(said.code for said in unknown.values()))

    def now(self) -> dict[str | None, Said]:
        """What the line said last, by camera (None: all cameras)."""
        with self._lock:
            return dict(self._said)

    def say(self, code: str, *, camera: str | None = None) -> str:
        """The line makes this product from now on, before one camera or all of them; returns its name. Raises
        OrderError where the code is unknown: the parts that follow get no verdict."""
        said = self._read(code)
        with self._lock:
            if camera is None:
                self._said.clear()
            self._said[camera] = said
        if said.product is None:
            raise OrderError(str(said.why))
        self._begins(said.product)
        return said.product

    def assign(self, capture: Capture) -> Capture:
        """The capture with its product; `unjudged` says why where nobody knows it."""
        if not self._names:
            return capture if capture.product_code is None else self._coded_without_table(capture)
        if capture.product_code is not None:
            said = self._read(capture.product_code)
        elif self._by_line:
            said = self._of_line(capture.frame.camera)
        else:
            said = self._read(capture.frame.product)
        product = said.product or UNKNOWN
        frame = capture.frame
        frame = frame if frame.product == product else frame.model_copy(update={"product": product})
        return replace(capture, frame=frame, unjudged=said.why)

    def _read(self, code: str) -> Said:
        product = self._names.get(code.strip())
        if product is not None:
            return Said(code, product)
        return Said(code, None, f"product {code[:128]!r} is not one of the [[products]] of this station")

    def _of_line(self, camera: str) -> Said:
        with self._lock:
            said = self._said.get(camera) or self._said.get(None)
        return said or Said("", None, "the line has not said which product it makes since the agent started")

    def _coded_without_table(self, capture: Capture) -> Capture:
        if capture.product_code == capture.frame.product:
            return capture
        why = f"no [[products]] say what the product code {str(capture.product_code)[:128]!r} is"
        return replace(capture, frame=capture.frame.model_copy(update={"product": UNKNOWN}), unjudged=why)
