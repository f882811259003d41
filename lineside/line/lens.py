"""What lies between the part and the file: one camera's fixed habits, focus, and dirt on its glass."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from zlib import crc32

import numpy as np
from PIL import Image, ImageFilter
from pydantic import BaseModel, ConfigDict, Field

from lineside.line.finish import Floats

IMAGE_PX = 128
DirtKind = Literal["smudge", "specks", "film"]
_NOISE_LENGTH = 4 * IMAGE_PX * IMAGE_PX * 3


class Dirt(BaseModel):
    """Dirt on one camera's lens: it stays at its place on the glass while parts pass by."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: DirtKind
    strength: float = Field(gt=0, le=1)  # share of the light it takes at its thickest place
    seed: int = Field(default=0, ge=0)


def draw_dirt(rng: np.random.Generator) -> Dirt:
    """Dirt of a drawn kind and strength, always strong enough to be a nuisance."""
    kinds: tuple[DirtKind, ...] = ("smudge", "specks", "film")
    return Dirt(kind=kinds[rng.integers(3)], strength=float(rng.uniform(0.45, 0.8)), seed=int(rng.integers(1 << 31)))


@dataclass(frozen=True)
class Camera:
    """The fixed habits of one camera, drawn once from its name and the line's seed."""

    shift: tuple[int, int]  # px, y and x
    angle_deg: float
    light: Floats  # [128, 128, 3] about 1: vignette, uneven lamp, white balance
    noise: Floats  # [4 * 128 * 128 * 3] 0..1 grey values, mean 0


def draw_camera(seed: int, name: str) -> Camera:
    rng = np.random.default_rng([seed, crc32(name.encode())])
    grid = np.linspace(-1, 1, IMAGE_PX)
    y, x = np.meshgrid(grid, grid, indexing="ij")
    lamp = 1 + rng.uniform(-0.05, 0.05) * x + rng.uniform(-0.05, 0.05) * y
    vignette = 1 - rng.uniform(0.04, 0.10) * (x * x + y * y)
    balance = 1 + rng.uniform(-0.02, 0.02, 3)
    return Camera(
        shift=(int(rng.integers(-2, 3)), int(rng.integers(-2, 3))),
        angle_deg=float(rng.uniform(-2, 2)),
        light=((lamp * vignette)[..., None] * balance).astype(np.float32),
        noise=rng.normal(0, rng.uniform(0.008, 0.012), _NOISE_LENGTH).astype(np.float32),
    )


def add_noise(frame: Floats, camera: Camera, rng: np.random.Generator) -> Floats:
    """Sensor noise: a piece of the camera's store, which is far faster than drawing 49,152 numbers for each part."""
    start = int(rng.integers(_NOISE_LENGTH - frame.size))
    return frame + camera.noise[start : start + frame.size].reshape(frame.shape)


def blur(frame: Floats, radius_px: float) -> Floats:
    """`frame` [h, w, 3] 0..1 out of focus by a Gaussian of `radius_px`."""
    picture = Image.fromarray((np.clip(frame, 0, 1) * np.float32(255)).astype(np.uint8))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(radius_px)), dtype=np.float32) / np.float32(255)


def add_dirt(frame: Floats, dirt: Dirt) -> Floats:
    """`frame` [h, w, 3] 0..1 seen through `dirt`."""
    veil, soft, grey = _glass(dirt)
    if soft is not None:
        frame = frame + soft * (blur(frame, 2.5) - frame)
    return frame + veil * (np.float32(grey) - frame)


@lru_cache(maxsize=16)
def _glass(dirt: Dirt) -> tuple[Floats, Floats | None, float]:
    """Share of veil [128, 128, 3], share of blur [128, 128, 3] or None, grey of the veil 0..1."""
    rng = np.random.default_rng(dirt.seed)
    if dirt.kind == "specks":
        return _spots(rng, int(rng.integers(25, 45)), (1.2, 3.5)) * np.float32(dirt.strength), None, 0.08
    if dirt.kind == "smudge":
        cloud = _spots(rng, 6, (14.0, 24.0))
        return cloud * np.float32(0.55 * dirt.strength), cloud, 0.5
    cloud = np.float32(0.6) + np.float32(0.4) * _spots(rng, 8, (20.0, 30.0))
    return cloud * np.float32(0.45 * dirt.strength), cloud * np.float32(dirt.strength), 0.75


def _spots(rng: np.random.Generator, count: int, radius_px: tuple[float, float]) -> Floats:
    """`count` round spots on the middle of the glass, [128, 128, 3] 0..1 (channels equal)."""
    grid = np.arange(IMAGE_PX)
    y, x = np.meshgrid(grid, grid, indexing="ij")
    clear = np.ones((IMAGE_PX, IMAGE_PX))
    for _ in range(count):
        cy, cx = rng.uniform(20, IMAGE_PX - 20, 2)
        clear *= 1 - np.exp(-((np.hypot(y - cy, x - cx) / rng.uniform(*radius_px)) ** 4))
    return np.repeat(1 - clear[..., None], 3, axis=2).astype(np.float32)
