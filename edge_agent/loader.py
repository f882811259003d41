"""From a bundle that lies on this device to what can serve: verified, licensed for this station, proven here."""

from __future__ import annotations

from pathlib import Path

from contracts.errors import BundleError
from edge_agent.inspection import Inspector
from edge_agent.selection import Selector
from runtime.bundle import Bundle, open_bundle


class Loader:
    """Turns a staged bundle into an inspector that passed its probe, with the variant that should serve here."""

    def __init__(self, selector: Selector, *, production: bool) -> None:
        self._selector, self._production = selector, production

    def load(self, place: Path, bundle_hash: str) -> Inspector:
        """Raises BundleError, with the reason, where the bundle may not serve here."""
        bundle = self._open(place, bundle_hash)
        inspector, selection = self._selector.select(bundle)
        inspector.selection = selection
        return inspector

    def load_variant(self, place: Path, bundle_hash: str, variant: str, *, why: str) -> Inspector:
        """The same with a variant that a benchmark has chosen."""
        bundle = self._open(place, bundle_hash)
        inspector, selection = self._selector.take(bundle, variant, why=why)
        inspector.selection = selection
        return inspector

    def _open(self, place: Path, bundle_hash: str) -> Bundle:
        bundle = open_bundle(place, expected_hash=bundle_hash)
        if self._production and not bundle.manifest.licence.production:
            licence = bundle.manifest.licence
            raise BundleError(
                f"bundle {bundle.hash[:12]} is not for production ({licence.licence}, {licence.permitted_use}); "
                "this is a production agent (production = true)"
            )
        return bundle
