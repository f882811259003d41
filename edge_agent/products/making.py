"""The products of an agent, made from its settings and put between its sources and its bundles."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from contracts.errors import OrderError
from edge_agent.core import Core
from edge_agent.inspection import Inspector
from edge_agent.products.changeover import Changeover
from edge_agent.products.settings import BundleSettings
from edge_agent.products.shelf import Shelf
from edge_agent.settings import AgentSettings


@dataclass(frozen=True)
class Products:
    """What is before the cameras, and what judges it."""

    changeover: Changeover
    shelf: Shelf

    def makes(self, camera: str, code: str) -> None:
        """A PLC has named the product before a camera; an unknown one is the changeover's to remember."""
        with contextlib.suppress(OrderError):
            self.changeover.say(code, camera=camera)


def make_products(settings: AgentSettings, core: Core) -> Products:
    """Thresholds, benchmarks and counts of scores reach the bundles of products as they do the station's."""

    def load(bundle: BundleSettings) -> Inspector:
        inspector = core.loader.load(bundle.path, bundle.hash)
        inspector.book = core.bundles.thresholds.book(inspector.bundle)
        return inspector

    options = settings.changeover
    shelf = Shelf(settings.products, load, refused=core.bundles.slots.refused, keep=options.keep_loaded)
    core.station.choose = shelf.choose
    core.bundles.others, core.bundles.of_product = lambda: shelf.inspectors, shelf.place
    return Products(Changeover(settings.products, options, begins=shelf.begin), shelf)
