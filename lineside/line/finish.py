"""A surface finish: colour and texture of a part, and the drawing of a new one that harms a home-trained model."""

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Texture = Literal["brushed", "sandblasted", "painted", "milled", "knurled", "hammered", "rolled"]
DEMO_TEXTURES: tuple[Texture, ...] = ("brushed", "sandblasted", "painted")
PRETRAIN_TEXTURES: tuple[Texture, ...] = ("milled", "knurled", "hammered", "rolled")
FIELD_PX = 256  # a texture is a periodic square field; every part shows another piece of it

Floats = NDArray[np.float32]


class Finish(BaseModel):
    """How the surface looks. Frozen and hashable, so textures are cached by it; serialisable for a control file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    texture: Texture
    colour: tuple[float, float, float]  # RGB, 0..1
    contrast: float = Field(ge=0, le=1)  # standard deviation of the texture, relative to the colour
    grain_px: float = Field(gt=0, le=32)  # typical size of a grain
    angle_deg: float = 0.0  # direction of brushing, milling, rolling
    seed: int = Field(default=0, ge=0)


@lru_cache(maxsize=32)
def surface_field(finish: Finish) -> Floats:
    """The surface of `finish` in flat light: [256, 256, 3] float32, about 0..1."""
    relative = 1 + np.float32(finish.contrast) * texture_field(finish)[..., None]
    return np.asarray(relative * np.array(finish.colour, dtype=np.float32))


def texture_field(finish: Finish) -> Floats:
    """The texture of `finish`: [256, 256] float32, periodic, mean 0, standard deviation 1."""
    along, across = _frequencies(finish.angle_deg)
    noise = np.random.default_rng(finish.seed).standard_normal((FIELD_PX, FIELD_PX))
    field = _shape(finish, noise, along, across)
    return np.asarray((field - field.mean()) / (field.std() + 1e-9), dtype=np.float32)


def _frequencies(angle_deg: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cycles per pixel along and across the direction `angle_deg`, each [256, 256]."""
    fy, fx = np.meshgrid(np.fft.fftfreq(FIELD_PX), np.fft.fftfreq(FIELD_PX), indexing="ij")
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    return fx * cos + fy * sin, fy * cos - fx * sin


def _shape(
    finish: Finish, noise: NDArray[np.float64], along: NDArray[np.float64], across: NDArray[np.float64]
) -> NDArray[np.float64]:
    grain, radius = finish.grain_px, np.hypot(along, across)
    if finish.texture == "brushed":
        return _filtered(noise, np.exp(-((along * grain * 30) ** 2) - (across * grain * 2) ** 2))
    if finish.texture == "sandblasted":
        return _filtered(noise, np.exp(-((radius * grain * 2) ** 2)))
    if finish.texture == "painted":
        return _filtered(noise, np.exp(-(((radius - 0.25 / grain) * grain * 12) ** 2)))
    if finish.texture == "milled":
        return _filtered(noise, np.exp(-((along * 40) ** 2) - ((np.abs(across) - 0.3 / grain) * grain * 20) ** 2))
    if finish.texture == "knurled":
        near = np.minimum(np.abs(along), np.abs(across)) * 60
        return _filtered(noise, np.exp(-(near**2) - ((radius - 0.3 / grain) * grain * 25) ** 2))
    if finish.texture == "hammered":
        return np.asarray(np.abs(_filtered(noise, np.exp(-(((radius - 0.15 / grain) * grain * 16) ** 2)))))
    return _filtered(noise, np.exp(-((along * grain * 12) ** 2) - (across * grain * 5) ** 2))  # rolled


def _filtered(noise: NDArray[np.float64], gain: NDArray[np.float64]) -> NDArray[np.float64]:
    field = np.fft.ifft2(np.fft.fft2(noise) * gain).real
    return np.asarray(field / (field.std() + 1e-12))


def draw_pretrain_finish(rng: np.random.Generator) -> Finish:
    """A finish for pretraining, of textures that no demo product ever has."""
    texture = PRETRAIN_TEXTURES[rng.integers(len(PRETRAIN_TEXTURES))]
    return Finish(
        name=f"pretrain-{texture}", texture=texture, colour=_draw_colour(rng, 0.25, 0.85, 0.25),
        contrast=float(rng.uniform(0.01, 0.11)), grain_px=float(rng.uniform(0.8, 3.0)),
        angle_deg=float(rng.uniform(0, 180)), seed=int(rng.integers(1 << 31)),
    )  # fmt: skip


def draw_new_finish(rng: np.random.Generator, product: str, *, rougher: float = 1.0) -> Finish:
    """A new finish of `product`: a coat of another colour and grain, on which a home-trained model sees defects
    everywhere, and which a few hundred labelled parts teach it. `rougher` multiplies the contrast of its texture.

    Defects and their rates stay as they are; only the surface changes.
    """
    texture = DEMO_TEXTURES[rng.integers(len(DEMO_TEXTURES))]
    coat = sorted(_COATS)[rng.integers(len(_COATS))]
    (low, high), (fine, coarse) = _GRAINS[texture]
    red, green, blue = np.array(_COATS[coat]) + rng.uniform(-0.02, 0.02, 3)
    return Finish(
        name=f"{product}-{coat}-{texture}-{int(rng.integers(1000)):03d}",
        texture=texture,
        colour=(float(red), float(green), float(blue)),
        contrast=rougher * float(rng.uniform(low, high)),
        grain_px=float(rng.uniform(fine, coarse)),
        angle_deg=float(rng.uniform(20, 160)),
        seed=int(rng.integers(1 << 31)),
    )


_COATS = {"copper": (0.66, 0.38, 0.24), "bronze": (0.64, 0.41, 0.21)}
# texture: (contrast from, to), (grain_px from, to)
_GRAINS: dict[Texture, tuple[tuple[float, float], tuple[float, float]]] = {
    "brushed": ((0.015, 0.025), (0.6, 0.9)),
    "sandblasted": ((0.03, 0.045), (0.7, 0.9)),
    "painted": ((0.02, 0.03), (1.0, 1.3)),
}


def _draw_colour(rng: np.random.Generator, low: float, high: float, spread: float) -> tuple[float, float, float]:
    red, green, blue = np.clip(rng.uniform(low, high) + rng.uniform(-spread, spread, 3), 0.15, 0.92)
    return float(red), float(green), float(blue)
