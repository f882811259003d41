"""The products of the simulated line: outline, holes, grooves and home finish, and their cached shapes."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lineside.line.finish import Finish, Floats

CANVAS_PX = 144  # drawn with a margin of 8 px round the camera's 128, so that a part can be placed a little off
Outline = Literal["disc", "plate", "hexagon", "gear", "bar", "cross"]


@dataclass(frozen=True)
class Product:
    """One kind of part. Lengths in pixels of the camera image, measured from the centre of the part."""

    name: str
    outline: Outline
    radius: float
    home: Finish
    holes: tuple[tuple[float, float, float], ...] = ()  # x, y, radius
    grooves: tuple[float, ...] = ()  # distance from the rim


@dataclass(frozen=True)
class Shape:
    """A product at one angle, without its surface."""

    mask: Floats  # [144, 144, 3] 0..1, 1 on the part; three equal channels, as broadcasting one is far slower
    shading: Floats  # [144, 144, 3] about 1, light and shadow of rim and grooves
    inside: NDArray[np.int64]  # [n, 2] rows (y, x) far enough from every edge to carry a defect
    rim: NDArray[np.int64]  # [n, 2] rows (y, x) on the edge


def _home(name: str, red: float, green: float, blue: float, angle: float, seed: int) -> Finish:
    return Finish(name=name, texture="brushed", colour=(red, green, blue), contrast=0.025, grain_px=0.8,
                  angle_deg=angle, seed=seed)  # fmt: skip


_BOLTS = ((0.0, -34.0, 5.0), (29.4, 17.0, 5.0), (-29.4, 17.0, 5.0))
_CORNERS = ((-36.0, -26.0, 5.0), (36.0, -26.0, 5.0), (-36.0, 26.0, 5.0), (36.0, 26.0, 5.0))
_STEEL = Finish(name="rolled-steel", texture="rolled", colour=(0.6, 0.61, 0.63), contrast=0.03, grain_px=1.0)

DEMO_PRODUCTS: dict[str, Product] = {
    "cap": Product("cap", "disc", 50, _home("cap-home", 0.66, 0.68, 0.70, 0, 11), (*_BOLTS, (0, 0, 10)), (5,)),
    "cover": Product("cover", "plate", 50, _home("cover-home", 0.62, 0.66, 0.69, 90, 12), _CORNERS, (8,)),
}
PRETRAIN_PRODUCTS: dict[str, Product] = {
    "nut": Product("nut", "hexagon", 48, _STEEL, ((0, 0, 17),), (6,)),
    "gear": Product("gear", "gear", 50, _STEEL, ((0, 0, 12),), (14,)),
    "rail": Product("rail", "bar", 54, _STEEL, ((-30, 0, 6), (30, 0, 6)), ()),
    "joint": Product("joint", "cross", 52, _STEEL, ((0, 0, 8),), (6,)),
}
PRODUCTS = {**DEMO_PRODUCTS, **PRETRAIN_PRODUCTS}


@lru_cache(maxsize=64)
def product_shape(product: Product, angle_deg: float) -> Shape:
    """`product` turned by `angle_deg` about the centre of the canvas, lit from the upper left."""
    distance = _distance(product, angle_deg)
    slope_y, slope_x = np.gradient(distance)
    facing = -(slope_x + slope_y) / np.sqrt(2)  # 1 where the rim looks to the upper left
    shading = 1 + 0.3 * np.exp(-(((distance + 2) / 2) ** 2)) * facing
    for groove in product.grooves:
        shading -= 0.22 * np.exp(-(((distance + groove) / 1.2) ** 2))
    return Shape(
        mask=_rgb(np.clip(0.5 - distance, 0, 1)),
        shading=_rgb(shading),
        inside=np.argwhere(distance < -(max(product.grooves, default=4) + 4)),
        rim=np.argwhere(np.abs(distance) < 0.7),
    )


def _rgb(plane: NDArray[np.float64]) -> Floats:
    return np.repeat(plane[..., None], 3, axis=2).astype(np.float32)


def _distance(product: Product, angle_deg: float) -> NDArray[np.float64]:
    """Signed distance to the nearest edge in px, negative on the part, [144, 144]."""
    grid = np.arange(CANVAS_PX) - (CANVAS_PX - 1) / 2
    y, x = np.meshgrid(grid, grid, indexing="ij")
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    x, y = x * cos + y * sin, y * cos - x * sin
    distance = _outline_distance(product.outline, product.radius, x, y)
    for hole_x, hole_y, hole_radius in product.holes:
        distance = np.maximum(distance, hole_radius - np.hypot(x - hole_x, y - hole_y))
    return distance


def _outline_distance(
    outline: Outline, radius: float, x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    if outline == "disc":
        return np.asarray(np.hypot(x, y) - radius)
    if outline == "gear":
        return np.asarray(np.hypot(x, y) - radius + 2.5 * np.tanh(3 * np.cos(14 * np.arctan2(y, x))) + 2.5)
    if outline == "hexagon":
        sides = [x * np.cos(a) + y * np.sin(a) for a in np.arange(6) * np.pi / 3]
        return np.asarray(np.maximum.reduce(sides) - radius * 0.9)
    if outline == "plate":
        return _box(x, y, radius, radius * 0.78, 9)
    if outline == "bar":
        return _box(x, y, radius, radius * 0.42, 5)
    return np.minimum(_box(x, y, radius, radius * 0.38, 4), _box(x, y, radius * 0.38, radius, 4))  # cross


def _box(
    x: NDArray[np.float64], y: NDArray[np.float64], half_width: float, half_height: float, corner: float
) -> NDArray[np.float64]:
    dx, dy = np.abs(x) - half_width + corner, np.abs(y) - half_height + corner
    return np.asarray(np.hypot(np.maximum(dx, 0), np.maximum(dy, 0)) + np.minimum(np.maximum(dx, dy), 0) - corner)
