"""Real pictures as a line: drawn with replacement from named pools, with the small jitter of a real camera."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from pydantic import BaseModel, ConfigDict, Field

from contracts.errors import DatasetError
from lineside.line import Part

_LONGEST_SIDE_PX = 640  # larger pictures are reduced once, when they are first read
_SHIFT_PX = 3
_WANDER = 0.02  # standard deviation of the slow change of light
_MEMORY = float(np.exp(-1 / 15))

FaultKind = Literal["haze", "blur", "dark", "bright"]


class Fault(BaseModel):
    """What goes wrong with one camera."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: FaultKind
    strength: float = Field(gt=0, le=1)


class PictureConditions(BaseModel):
    """From which pool the line deals, and what is wrong with which camera, from the next part on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pool: str
    faults: dict[str, Fault] = Field(default_factory=dict)  # by camera name


@dataclass(frozen=True)
class Picture:
    """One picture of a pool. `part_id` is what a person would be asked about: the same picture is one part."""

    path: Path
    label: str
    part_id: str
    severity: int = 0


@dataclass
class PictureLine:
    """Deals pictures as parts. Same seed, same calls: the same images."""

    seed: int
    cameras: tuple[str, ...]
    pools: Mapping[str, Sequence[Picture]]
    product: str = "default"
    new_part_each_time: bool = False  # a picture that comes again is another part
    _made: dict[str, int] = field(default_factory=dict)
    _light: dict[str, float] = field(default_factory=dict)

    def resume(self, camera: str, number: int) -> None:
        """Go on as if `number` parts had already passed `camera`."""
        self._made[camera] = number

    def next_part(self, camera: str, conditions: PictureConditions) -> Part:
        """The next part before `camera`. Raises KeyError for an unknown pool."""
        number = self._made.get(camera, 0)
        self._made[camera] = number + 1
        rng = np.random.default_rng([self.seed, crc32(camera.encode()), number])
        shock = float(rng.normal(0, _WANDER * np.sqrt(1 - _MEMORY**2)))
        self._light[camera] = _MEMORY * self._light.get(camera, 0.0) + shock
        pool = self.pools[conditions.pool]
        picture = pool[int(rng.integers(len(pool)))]
        image = _jitter(read_picture(picture.path), rng, 1 + self._light[camera])
        if camera in conditions.faults:
            image = add_fault(image, conditions.faults[camera])
        part_id = f"{picture.part_id}:{camera}-{number}" if self.new_part_each_time else picture.part_id
        return Part(part_id, self.product, camera, image, picture.label, picture.severity, None)


def read_pool(manifest: Path) -> list[Picture]:
    """The pictures of a CSV with the columns path, label and, where known, part_id and severity.

    Raises DatasetError when the file is empty or lacks a column.
    """
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"path", "label"} <= set(rows[0]):
        raise DatasetError(f"{manifest}: needs the columns path and label and at least one row")
    return [
        Picture(
            path=manifest.parent / row["path"],
            label=row["label"],
            part_id=row.get("part_id") or Path(row["path"]).stem,
            severity=int(row.get("severity") or 0),
        )
        for row in rows
    ]


@lru_cache(maxsize=3000)
def read_picture(path: Path) -> NDArray[np.uint8]:
    """The picture as uint8 [h, w, 3], its longest side at most 640 px."""
    try:
        with Image.open(path, formats=("PNG", "JPEG", "BMP", "TIFF")) as picture:
            picture.draft("RGB", (_LONGEST_SIDE_PX, _LONGEST_SIDE_PX))
            picture.thumbnail((_LONGEST_SIDE_PX, _LONGEST_SIDE_PX))
            return np.asarray(picture.convert("RGB"))
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error}") from error


def _jitter(image: NDArray[np.uint8], rng: np.random.Generator, light: float) -> NDArray[np.uint8]:
    """Moved by a few pixels, in slightly other light. uint8 [h, w, 3] both."""
    dy, dx = (int(step) for step in rng.integers(-_SHIFT_PX, _SHIFT_PX + 1, 2))
    rows = np.clip(np.arange(image.shape[0]) + dy, 0, image.shape[0] - 1)
    columns = np.clip(np.arange(image.shape[1]) + dx, 0, image.shape[1] - 1)
    table = np.clip(np.arange(256) * light, 0, 255).astype(np.uint8)
    moved: NDArray[np.uint8] = table[image[rows][:, columns]]
    return moved


def add_fault(image: NDArray[np.uint8], fault: Fault) -> NDArray[np.uint8]:
    """`image` uint8 [h, w, 3] as a camera with `fault` would give it."""
    if fault.kind == "blur":
        radius = fault.strength * 0.02 * max(image.shape[:2])
        return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))
    grey = np.arange(256, dtype=np.float32)
    if fault.kind == "haze":
        grey = grey + 0.6 * fault.strength * (170 - grey)
    elif fault.kind == "dark":
        grey = grey * (1 - 0.6 * fault.strength)
    else:
        grey = grey * (1 + 0.8 * fault.strength)
    hazed: NDArray[np.uint8] = np.clip(grey, 0, 255).astype(np.uint8)[image]
    return hazed


def draw_fault(rng: np.random.Generator) -> Fault:
    """A fault of a drawn kind and strength, always strong enough to be a nuisance."""
    return Fault(kind=_KINDS[int(rng.integers(len(_KINDS)))], strength=float(rng.uniform(0.5, 0.8)))


def draw_lasting_faults(rng: np.random.Generator) -> list[Fault]:
    """Every kind in a drawn order, weak ones first."""
    order = [_KINDS[int(index)] for index in rng.permutation(len(_KINDS))]
    return [Fault(kind=kind, strength=strength) for strength in _STRENGTHS for kind in order]


_KINDS: tuple[FaultKind, ...] = ("haze", "blur", "dark", "bright")
_STRENGTHS = (0.5, 0.75, 1.0)
