"""The line itself: one part after another before each camera, every one with its truth."""

from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from lineside.line.conditions import Conditions
from lineside.line.defect import GOOD, Box, add_defect
from lineside.line.finish import FIELD_PX, Finish, Floats, surface_field
from lineside.line.lens import IMAGE_PX, Camera, add_dirt, add_noise, blur, draw_camera
from lineside.line.product import CANVAS_PX, PRODUCTS, Shape, product_shape

_WANDER = 0.02  # standard deviation of the slow change of light
_MEMORY = float(np.exp(-1 / 15))  # it forgets over about 15 parts
_ANGLES = np.linspace(-2.5, 2.5, 7)  # how a part may lie, degrees
_SEVERITIES = np.array([0.3, 0.4, 0.3])


@dataclass(frozen=True)
class Part:
    """One part as one camera saw it, with its truth."""

    part_id: str
    product: str
    camera: str
    image: NDArray[np.uint8]  # [128, 128, 3] RGB
    label: str  # "good" or the kind of defect
    severity: int  # 0 (good) .. 3
    box: Box | None  # x0, y0, x1, y1 px, the last two exclusive


class SimulatedLine:
    """A line with one or more cameras. Same seed, same calls: the same bytes.

    Every camera has its own sequence of parts, so the order in which cameras are asked does not matter. Placement,
    light and noise of a part do not depend on whether it is defective.
    """

    def __init__(self, seed: int, cameras: tuple[str, ...] = ("cam-a", "cam-b")) -> None:
        self.seed = seed
        self.cameras = cameras
        self._cameras = {name: draw_camera(seed, name) for name in cameras}
        self._made = dict.fromkeys(cameras, 0)
        self._light = {name: _first_light(seed, name) for name in cameras}

    def resume(self, camera: str, number: int) -> None:
        """Go on as if `number` parts had already passed `camera`: part numbers tell training, stream and test apart."""
        self._made[camera] = number

    def next_part(self, camera: str, conditions: Conditions) -> Part:
        """The next part before `camera`. Raises ValueError for a camera that the line does not have."""
        if camera not in self._made:
            raise ValueError(f"the line has no camera {camera!r}, only {', '.join(self.cameras)}")
        number = self._made[camera]
        self._made[camera] = number + 1
        key = [self.seed, crc32(camera.encode()), number]
        rng = np.random.default_rng(key)
        self._light[camera] = _MEMORY * self._light[camera] + _shock(rng)
        label, severity = _draw_truth(rng, conditions)
        frame, shape, corner = _place_part(rng, self._cameras[camera], conditions)
        box = None
        if label != GOOD:
            box = add_defect(frame, shape, corner, label, severity, np.random.default_rng([*key, 1]))
        image = self._expose(rng, camera, frame, conditions)
        return Part(f"{self.seed}-{camera}-{number:06d}", conditions.product, camera, image, label, severity, box)

    def _expose(
        self, rng: np.random.Generator, camera: str, frame: Floats, conditions: Conditions
    ) -> NDArray[np.uint8]:
        """Light, focus, dirt and noise, in this order."""
        fixed = self._cameras[camera]
        frame = frame * (fixed.light * np.float32(conditions.lighting * (1 + self._light[camera])))
        if conditions.blur_px > 0:
            frame = blur(frame, conditions.blur_px)
        if camera in conditions.dirt:
            frame = add_dirt(frame, conditions.dirt[camera])
        frame = add_noise(frame, fixed, rng)
        return (np.clip(frame, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def _first_light(seed: int, camera: str) -> float:
    return float(np.random.default_rng([seed, crc32(camera.encode()), 0, 2]).normal(0, _WANDER))


def _shock(rng: np.random.Generator) -> float:
    return float(rng.normal(0, _WANDER * np.sqrt(1 - _MEMORY**2)))


def _draw_truth(rng: np.random.Generator, conditions: Conditions) -> tuple[str, int]:
    """Label and severity. Draws the same numbers for a good part as for a bad one."""
    chance, kind_at, severity_at = rng.random(3)
    if chance >= conditions.defect_rate:
        return GOOD, 0
    kinds, weights = zip(*conditions.defect_kinds.items(), strict=True)
    kind = int(np.searchsorted(np.cumsum(weights) / sum(weights), kind_at, side="right"))
    severity = int(np.searchsorted(np.cumsum(_SEVERITIES), severity_at, side="right"))
    return kinds[min(kind, len(kinds) - 1)], 1 + min(severity, 2)


def _place_part(
    rng: np.random.Generator, camera: Camera, conditions: Conditions
) -> tuple[Floats, Shape, tuple[int, int]]:
    """A part of the product lying on the belt: frame [128, 128, 3] 0..1, its shape, where the frame lies on it."""
    product = PRODUCTS[conditions.product]
    turn, dy, dx, oy, ox = rng.integers(0, [len(_ANGLES), 5, 5, FIELD_PX - CANVAS_PX, FIELD_PX - CANVAS_PX])
    shape = product_shape(product, float(_ANGLES[turn] + camera.angle_deg))
    margin = (CANVAS_PX - IMAGE_PX) // 2
    y, x = margin + camera.shift[0] + int(dy) - 2, margin + camera.shift[1] + int(dx) - 2
    window = np.s_[y : y + IMAGE_PX, x : x + IMAGE_PX]
    surface = _surface(conditions.finish or product.home, int(oy), int(ox)) * shape.shading[window]
    belt = _belt(int(ox), int(oy))
    return belt + shape.mask[window] * (surface - belt), shape, (y, x)


def _surface(finish: Finish, y: int, x: int) -> Floats:
    return surface_field(finish)[y : y + IMAGE_PX, x : x + IMAGE_PX]


_BELT = Finish(name="belt", texture="sandblasted", colour=(0.13, 0.14, 0.15), contrast=0.12, grain_px=1.2, seed=5)


def _belt(y: int, x: int) -> Floats:
    return _surface(_BELT, y, x)
