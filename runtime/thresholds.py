"""Which thresholds decide on a part: those signed for its product, else for all products, else the bundle's own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from contracts.bundle import Manifest
from contracts.thresholds import SignedThresholds
from runtime.decision import Rule


@dataclass(frozen=True)
class Deciding:
    """A decision rule, and the number of the signed thresholds in it; None: the bundle's own."""

    rule: Rule
    number: int | None = None


class ThresholdBook:
    """Of one bundle; never changed. Whoever decides asks it once for each part, so that a part is never decided half by
    the old thresholds and half by the new. Entries for other bundles are passed over."""

    def __init__(self, manifest: Manifest, bundle_hash: str, entries: Iterable[SignedThresholds] = ()) -> None:
        self._labels, self._good = manifest.labels, manifest.good_labels
        self._own = Deciding(Rule(self._labels, self._good, manifest.thresholds))
        self._signed = {entry.product: self._deciding(entry) for entry in entries if entry.bundle_hash == bundle_hash}

    def of(self, product: str) -> Deciding:
        """What decides on parts of this product."""
        return self._signed.get(product) or self._signed.get(None) or self._own

    def _deciding(self, entry: SignedThresholds) -> Deciding:
        return Deciding(Rule(self._labels, self._good, entry.thresholds), entry.number)
