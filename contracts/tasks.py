"""What a model answers beside the class: how severe a defect is (ordered levels) and where it lies (a map, a box)."""

from __future__ import annotations

from math import ceil
from typing import Annotated

from pydantic import Field, model_validator

from contracts.names import Label, Wire

PixelBox = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of the source image."""

_Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Severity(Wire):
    """One level of a bundle's scale; 0 is none."""

    level: int = Field(ge=0)
    name: Label


class SeverityScale(Wire):
    """Ordered levels that a column of the training's manifest was cut into; the first one is none."""

    column: str = Field(min_length=1)
    names: tuple[Label, ...] = Field(min_length=2, max_length=20)
    bounds: tuple[float, ...] = Field(
        default=(), description="upper ends, in the column's unit, of all levels but the first and the last; empty "
        "where the column holds the levels themselves"
    )  # fmt: skip

    @model_validator(mode="after")
    def _ordered(self) -> SeverityScale:
        if self.bounds and len(self.bounds) != len(self.names) - 2:
            raise ValueError(f"{len(self.names)} levels need {len(self.names) - 2} bounds, not {len(self.bounds)}")
        if list(self.bounds) != sorted(set(self.bounds)):
            raise ValueError("bounds must rise")
        return self

    def level_of(self, value: float) -> int:
        """The level of a value of the column.

        >>> SeverityScale(column="area", names=("none", "up to 5", "more"), bounds=(5.0,)).level_of(7.2)
        2
        """
        if value <= 0:
            return 0
        if self.bounds:
            return 1 + sum(value > bound for bound in self.bounds)
        return min(ceil(value), len(self.names) - 1)

    def severity(self, level: int) -> Severity:
        """The level with its name."""
        return Severity(level=level, name=self.names[level])


class LocationGrid(Wire):
    """Cells of the map that the network lays over each of its inputs."""

    rows: int = Field(ge=1, le=512)
    columns: int = Field(ge=1, le=512)


class Tasks(Wire):
    """The tasks of a model beside the class.

    Further outputs of its graph, float32, for an image of n inputs: `severity` [1, levels - 1], logits of P(level > l);
    `heat` [n, rows, columns], logits of a defect in each cell; `distances` [n, 4, rows, columns], in cells, from a
    cell's centre to the left, top, right and bottom of the defect's box, negative where the centre lies outside of it.
    """

    severity: SeverityScale | None = None
    location: LocationGrid | None = None

    @model_validator(mode="after")
    def _some(self) -> Tasks:
        if self.severity is None and self.location is None:
            raise ValueError("tasks name neither severity nor location")
        return self


class TaskCertificate(Wire):
    """How far a variant's further answers are from the trained model's, the largest difference over all images, and
    what each of both reaches on the test images; None where a task is not there, or no image tells."""

    severity_difference: _Share | None = Field(default=None, description="of a probability P(level > l)")
    heat_difference: _Share | None = Field(default=None, description="of a cell's probability")
    smallest_overlap: _Share | None = Field(
        default=None, description="of a defect's box with the trained model's, intersection over union"
    )
    level_error: float | None = Field(default=None, ge=0.0, description="mean distance from the true level")
    reference_level_error: float | None = Field(default=None, ge=0.0)
    boxes_found: _Share | None = Field(
        default=None, description="share of marked defects whose box overlaps a mark by 0.3 at least"
    )
    reference_boxes_found: _Share | None = None
