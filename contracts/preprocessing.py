"""How an image becomes what a network reads: which part of it, in which tiles, at which size."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from contracts.names import Wire

Polygon = Annotated[tuple[tuple[float, float], ...], Field(min_length=3, max_length=200)]
"""Corners (x, y) in pixels of the source image, in order."""


def _crosses_itself(polygon: Polygon) -> bool:
    """Whether two sides cross that do not follow each other.

    >>> _crosses_itself(((0, 0), (2, 0), (2, 2), (0, 2))), _crosses_itself(((0, 0), (2, 2), (2, 0), (0, 2)))
    (False, True)
    """
    sides = list(zip(polygon, (*polygon[1:], polygon[0]), strict=True))
    return any(
        _side(*one, other[0]) * _side(*one, other[1]) < 0 and _side(*other, one[0]) * _side(*other, one[1]) < 0
        for number, one in enumerate(sides)
        for other in sides[number + 2 :]
    )


def _side(start: tuple[float, float], end: tuple[float, float], point: tuple[float, float]) -> float:
    """On which side of a line a point lies: positive, negative, or 0 on it."""
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])


class Tiles(Wire):
    """The region of interest as a grid of equal, overlapping windows, each of which becomes one network input: small
    defects keep their pixels. The network answers once for all of them."""

    columns: int = Field(ge=1, le=16)
    rows: int = Field(ge=1, le=16)
    overlap: float = Field(
        default=0.15, ge=0.0, le=0.5, description="share of a tile's side that its neighbour has too"
    )

    @property
    def count(self) -> int:
        """Tiles of an image."""
        return self.columns * self.rows

    def boxes(self, width: float, height: float) -> tuple[tuple[float, float, float, float], ...]:
        """Left, top, right, bottom of every tile in pixels, row by row, of a region of this size.

        >>> Tiles(columns=2, rows=1, overlap=0.5).boxes(30, 10)
        ((0.0, 0.0, 20.0, 10.0), (10.0, 0.0, 30.0, 10.0))
        """
        across, down = self._spans(width, self.columns), self._spans(height, self.rows)
        return tuple((left, top, right, bottom) for top, bottom in down for left, right in across)

    def _spans(self, length: float, count: int) -> list[tuple[float, float]]:
        side = length / (count - (count - 1) * self.overlap)
        step = side * (1 - self.overlap)
        return [(number * step, min(number * step + side, float(length))) for number in range(count)]


class Preprocessing(Wire):
    """How an image becomes the network's input. One implementation (`runtime.preprocessing`) serves trainer,
    certificate and agent. Order: decode -> colour -> blank what is hidden -> crop to region of interest ->
    tiles -> resize -> scale -> layout."""

    schema_version: Literal[1, 2, 3] = Field(
        default=1, description="2 where there are tiles or places to hide, 3 where least_scale is 1"
    )
    formats: tuple[str, ...] = ("PNG", "JPEG", "BMP", "TIFF")
    colour: Literal["RGB"] = "RGB"
    width: int = Field(ge=16, le=4096, description="network input, pixels")
    height: int = Field(ge=16, le=4096, description="network input, pixels")
    resize: Literal["stretch", "pad"] = "stretch"
    filter: Literal["bilinear", "box", "bicubic"] = "bilinear"
    region_of_interest: tuple[int, int, int, int] | None = Field(
        default=None, description="left, top, right, bottom in source pixels"
    )
    region_polygon: Polygon | None = Field(
        default=None, description="what lies outside is neither seen nor kept; without a box the image is cropped to it"
    )
    source_size: tuple[int, int] | None = Field(
        default=None, description="width and height of the images in which areas were named; others are refused"
    )
    hidden: tuple[Polygon, ...] = Field(default=(), description="areas that are neither seen nor kept: people, screens")
    tiles: Tiles | None = Field(default=None, description="None: the whole region of interest at once")
    mean: tuple[float, float, float] = Field(description="per channel, of values in 0..1")
    std: tuple[float, float, float] = Field(description="per channel, of values in 0..1")
    layout: Literal["NCHW"] = "NCHW"
    dtype: Literal["float32"] = "float32"
    max_pixels: int = Field(default=50_000_000, ge=1, description="larger images are refused from their header")
    least_scale: Literal[1, 2] = Field(
        default=2,
        description="a large JPEG is decoded smaller, to at least so many pixels for each of the network's input",
    )

    @model_validator(mode="after")
    def _understood(self) -> Preprocessing:
        """A station that does not know what changes the pixels must refuse it, not pass over it."""
        if self.schema_version == 1 and (self.tiles or self.hides):
            raise ValueError("tiles, region_polygon and hidden need schema_version 2")
        if self.schema_version < 3 and self.least_scale != 2:
            raise ValueError("least_scale 1 needs schema_version 3")
        if self.hides and self.source_size is None:
            raise ValueError("region_polygon and hidden need source_size: of the images that they were named in")
        for polygon in (*self.hidden, *filter(None, [self.region_polygon])):
            if _crosses_itself(polygon):
                raise ValueError(f"the sides of the area {polygon} cross each other; name its corners in order")
        return self

    @property
    def hides(self) -> bool:
        """Whether there is something in an image that may be neither seen nor kept."""
        return self.region_polygon is not None or bool(self.hidden)

    @property
    def inputs(self) -> int:
        """Network inputs that one image becomes."""
        return self.tiles.count if self.tiles else 1

    @property
    def in_source_pixels(self) -> bool:
        """Whether it names places of the source image, which must then keep its full scale."""
        return self.region_of_interest is not None or self.hides

    @property
    def resolution(self) -> tuple[int, int]:
        """Width and height of all inputs side by side, pixels: how much of an image can reach the network."""
        return (
            (self.width * self.tiles.columns, self.height * self.tiles.rows)
            if self.tiles
            else (self.width, self.height)
        )
