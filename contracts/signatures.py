"""What faults of a camera do to the drift vector of a bundle's own pictures, computed beforehand. It travels in the
manifest, and the monitor explains a drift by it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from contracts.names import Label, Wire

FAMILIES = ("light", "focus", "dirt", "setup")
"""Families of faults that a monitor knows; another in a manifest of later is passed over."""

Entries = Annotated[tuple[float, ...], Field(max_length=512)]
"""One number for each entry of the drift vector."""
Sizes = Annotated[tuple[Annotated[float, Field(ge=0.0)], ...], Field(max_length=512)]
"""The same, of what is never below 0."""


class Signature(Wire):
    """One fault that grows: by how much the mean vector moves at each of its strengths, weakest first."""

    family: str
    points: tuple[Entries, ...] = Field(min_length=1, max_length=8)


class Signatures(Wire):
    """All that a shift of the mean vector may be explained by. Spreads are variances over single images."""

    images: int = Field(ge=2, description="that they were computed from")
    scale: Sizes = Field(description="standard deviation of single images")
    faults: tuple[Signature, ...] = Field(max_length=64)
    spreads: dict[str, Sizes] = Field(description="family -> how differently single images move")
    classes: dict[Label, Entries] = Field(description="true class -> its mean vector")
    shares: dict[Label, Annotated[float, Field(gt=0.0, le=1.0)]] = Field(
        description="true class -> its share of the images"
    )
    within: tuple[Entries, ...] = Field(
        default=(), description="lower triangle of the covariance of single images within their class, row by row"
    )

    @model_validator(mode="after")
    def _of_one_length(self) -> Signatures:
        entries = len(self.scale)
        rows = [*(point for fault in self.faults for point in fault.points), *self.spreads.values()]
        if any(len(row) != entries for row in (*rows, *self.classes.values())):
            raise ValueError(f"signatures are not all of {entries} entries")
        if [len(row) for row in self.within] != list(range(1, entries + 1)):
            raise ValueError(f"within is not the lower triangle of {entries} entries")
        if set(self.classes) != set(self.shares) or not {fault.family for fault in self.faults} <= set(self.spreads):
            raise ValueError("classes without a share, or faults without a spread")
        return self
