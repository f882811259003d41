"""Thresholds that a site chose after the export: signed with the channel, for one bundle and one product or all."""

from __future__ import annotations

from pydantic import Field

from contracts.bundle import Thresholds
from contracts.names import Identifier, Moment, Name, Sha256, Wire

MOST_ENTRIES = 200
"""Of a channel."""


class SignedThresholds(Wire):
    """They decide instead of those in the bundle's manifest, which stay what one goes back to."""

    number: int = Field(ge=1, description="counts up with every change of the site; verdicts name it")
    bundle_hash: Sha256
    product: Name | None = Field(default=None, description="None: every product without thresholds of its own")
    thresholds: Thresholds
    reason: str = Field(min_length=1, max_length=1000)
    by: Identifier = Field(description="a pseudonym, never a name")
    at: Moment

    @property
    def key(self) -> tuple[str, str | None]:
        """What they are for; a channel holds one entry for each."""
        return self.bundle_hash, self.product
