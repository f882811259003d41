"""Defects, drawn into a small patch of the picture: three kinds the demo knows, five that only pretraining uses."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lineside.line.finish import Floats
from lineside.line.product import Shape

GOOD = "good"
Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels, the last two exclusive
_VISIBLE = 0.004  # a change of one grey level of 255


@dataclass(frozen=True)
class Patch:
    """What a defect does round its centre, [p, p] each: `gain` scales the surface, `tint` RGB 0..1 is mixed in."""

    gain: NDArray[np.float64]  # about 1, 1 where nothing changes
    cover: NDArray[np.float64]  # 0..1, share of `tint`
    tint: tuple[float, float, float] = (0.0, 0.0, 0.0)
    beyond_edge: bool = False  # may lie on the belt too


def _grid(half: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    side = np.arange(-half, half + 1, dtype=np.float64)
    y, x = np.meshgrid(side, side, indexing="ij")
    return y, x


def _line_distance(points: NDArray[np.float64], half: int) -> NDArray[np.float64]:
    """Distance in px of every pixel to the polyline through `points` [n, 2] (y, x)."""
    y, x = _grid(half)
    nearest = np.full(y.shape, np.inf)
    for (ay, ax), (by, bx) in pairwise(points):
        dy, dx = by - ay, bx - ax
        t = np.clip(((y - ay) * dy + (x - ax) * dx) / (dy * dy + dx * dx + 1e-9), 0, 1)
        nearest = np.minimum(nearest, np.hypot(y - ay - t * dy, x - ax - t * dx))
    return nearest


def _curve(rng: np.random.Generator, length: float, bend: float, points: int) -> NDArray[np.float64]:
    """A curve of about `length` px through the origin; `bend` is how much it turns, in radians. [points, 2] (y, x)"""
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, bend / np.sqrt(points), points))
    step = length / (points - 1)
    path = np.cumsum(np.stack([np.sin(heading), np.cos(heading)], axis=1) * step, axis=0)
    return np.asarray(path - path.mean(axis=0))


def _plain(gain: NDArray[np.float64]) -> Patch:
    return Patch(gain, np.zeros_like(gain))


def scratch(rng: np.random.Generator, severity: int) -> Patch:
    """A thin, slightly bent line: dark groove with a bright lip."""
    length, width = rng.uniform(16, 22) + 7 * severity, 0.75 + 0.18 * severity
    half = int(length / 2) + 4
    points = _curve(rng, length, 0.35, 5)
    groove = np.exp(-((_line_distance(points, half) / width) ** 2))
    lip = np.exp(-((_line_distance(points + 1.2, half) / width) ** 2))
    return _plain(1 - (0.55 + 0.10 * severity) * groove + (0.30 + 0.06 * severity) * lip)


def pit(rng: np.random.Generator, severity: int) -> Patch:
    """One to three small dark hollows with a bright crescent."""
    half = 12
    y, x = _grid(half)
    gain = np.ones_like(y)
    for _ in range(rng.integers(1, 4)):
        cy, cx = rng.uniform(-7, 7, 2)
        radius = rng.uniform(2.4, 2.8) + 0.6 * severity
        r = np.hypot(y - cy, x - cx)
        gain -= (0.55 + 0.10 * severity) * np.exp(-((r / radius) ** 4))
        gain += 0.25 * np.exp(-(((r - radius - 0.8) / 0.9) ** 2)) * np.clip((y - cy + x - cx) / (r + 1e-6), 0, None)
    return _plain(np.maximum(gain, 0.1))


def stain(rng: np.random.Generator, severity: int) -> Patch:
    """A soft-edged discolouration, oil to rust."""
    half = 16 + 3 * severity
    y, x = _grid(half)
    blob = np.zeros_like(y)
    for _ in range(5):
        cy, cx = rng.normal(0, 3.5, 2)
        blob += np.exp(-((np.hypot(y - cy, x - cx) / (4.5 + 1.3 * severity)) ** 2))
    cover = (0.55 + 0.09 * severity) / (1 + np.exp(-6 * (blob - 1.3))) * (np.hypot(y, x) < half)
    red = rng.uniform(0.2, 0.4)
    return Patch(np.ones_like(y), cover, (red, red * 0.7, red * 0.4))


def dent(rng: np.random.Generator, severity: int) -> Patch:
    """A shallow hollow: shadow on one side, light on the other."""
    half = 12 + 3 * severity
    y, x = _grid(half)
    radius = rng.uniform(5, 7) + 1.2 * severity
    slope = (y + x) / radius * np.exp(-((np.hypot(y, x) / radius) ** 2))
    return _plain(1 + (0.2 + 0.1 * severity) * slope)


def crack(rng: np.random.Generator, severity: int) -> Patch:
    """A jagged dark line with a branch."""
    length = rng.uniform(18, 26) + 6 * severity
    half = int(length) + 4
    main = _curve(rng, length, 1.8, 9)
    branch = _curve(rng, length / 2, 1.8, 5)
    branch += main[4] - branch[0]
    near = np.minimum(_line_distance(main, half), _line_distance(branch, half))
    return _plain(1 - (0.4 + 0.1 * severity) * np.exp(-((near / (0.5 + 0.15 * severity)) ** 2)))


def fibre(rng: np.random.Generator, severity: int) -> Patch:
    """A coloured thread lying on the part."""
    length = rng.uniform(20, 30) + 5 * severity
    half = int(length) + 3
    near = _line_distance(_curve(rng, length, 3.0, 12), half)
    red, green, blue = rng.uniform(0.05, 0.95, 3)
    cover = (0.6 + 0.1 * severity) * np.exp(-((near / 0.9) ** 2))
    return Patch(np.ones_like(near), cover, (float(red), float(green), float(blue)), beyond_edge=True)


def blister(rng: np.random.Generator, severity: int) -> Patch:
    """A raised bubble: bright top, dark ring."""
    half = 8 + 2 * severity
    y, x = _grid(half)
    r, radius = np.hypot(y, x), rng.uniform(2.5, 3.5) + severity
    bright = 0.35 * np.exp(-((np.hypot(y + radius / 3, x + radius / 3) / (radius / 2)) ** 2))
    return _plain(1 + bright - (0.15 + 0.08 * severity) * np.exp(-(((r - radius) / 1.1) ** 2)))


def chip(rng: np.random.Generator, severity: int) -> Patch:
    """A bite out of the rim, dark as the belt."""
    half = 8 + 2 * severity
    y, x = _grid(half)
    wobble = 1 + 0.25 * np.cos(3 * np.arctan2(y, x) + rng.uniform(0, 6))
    cover = np.clip((3 + 1.2 * severity) * wobble - np.hypot(y, x) + 0.5, 0, 1)
    return Patch(np.ones_like(y), cover, (0.12, 0.12, 0.13))


Draw = Callable[[np.random.Generator, int], Patch]
DEMO_DEFECTS: dict[str, Draw] = {"scratch": scratch, "pit": pit, "stain": stain}
PRETRAIN_DEFECTS: dict[str, Draw] = {"dent": dent, "crack": crack, "fibre": fibre, "blister": blister, "chip": chip}
DEFECTS = {**DEMO_DEFECTS, **PRETRAIN_DEFECTS}


def add_defect(
    frame: Floats, shape: Shape, corner: tuple[int, int], kind: str, severity: int, rng: np.random.Generator
) -> Box:
    """Draw `kind` into `frame` [h, w, 3] 0..1 in place and return the box round every pixel it changed.

    `corner` is where (y, x) of the frame's first pixel lies on the canvas of `shape`. A place is drawn again until
    the defect shows (a scratch may lie across a hole).
    """
    patch = DEFECTS[kind](rng, severity)
    for _ in range(20):
        box = _stamp(frame, shape, corner, patch, _place(shape, corner, kind, rng, frame.shape[0]))
        if box is not None:
            return box
    raise ValueError(f"no place on the part for a {kind} of severity {severity}")


def _place(shape: Shape, corner: tuple[int, int], kind: str, rng: np.random.Generator, size_px: int) -> tuple[int, int]:
    places = shape.rim if kind == "chip" else shape.inside
    y, x = places[rng.integers(len(places))] - np.array(corner)
    return int(np.clip(y, 0, size_px - 1)), int(np.clip(x, 0, size_px - 1))


def _stamp(frame: Floats, shape: Shape, corner: tuple[int, int], patch: Patch, centre: tuple[int, int]) -> Box | None:
    half, (height, width, _) = patch.gain.shape[0] // 2, frame.shape
    y0, y1 = max(centre[0] - half, 0), min(centre[0] + half + 1, height)
    x0, x1 = max(centre[1] - half, 0), min(centre[1] + half + 1, width)
    piece = np.s_[y0 - centre[0] + half : y1 - centre[0] + half, x0 - centre[1] + half : x1 - centre[1] + half]
    mask = shape.mask[corner[0] + y0 : corner[0] + y1, corner[1] + x0 : corner[1] + x1, 0]
    mask = np.ones_like(mask) if patch.beyond_edge else mask
    before = frame[y0:y1, x0:x1]
    cover = (patch.cover[piece] * mask)[..., None]
    after = before * (1 + (patch.gain[piece] - 1) * mask)[..., None]
    after = after + cover * (np.array(patch.tint) - after)
    changed = np.abs(after - before).max(axis=2) > _VISIBLE
    if changed.sum() < 6:
        return None
    frame[y0:y1, x0:x1] = np.where(changed[..., None], after, before)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    return int(x0 + columns[0]), int(y0 + rows[0]), int(x0 + columns[-1] + 1), int(y0 + rows[-1] + 1)
