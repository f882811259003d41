"""What a camera's windows look like when all is well: learned while commissioning, from the deployed session.

The covariance is that *between window means*, because neighbouring images are not independent: thresholds from single
images mean nothing on video. Few windows (60 in a demo, 300 in production) cannot carry a full covariance, so the
correlations are shrunk towards none (Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional
covariance matrices", on standardised entries), and no entry is believed to vary less than its images' own spread.
What shrinkage and a slow wander do to the T2 limit is measured, not assumed: each block of neighbouring windows is
judged by a profile of all others, and these held-out T2 values are kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from drift.vector import group_of
from drift.window import WindowMean, rounded

PRODUCTION_WINDOWS = 300
DEMO_WINDOWS = 60
BLOCKS = 6

Floats = NDArray[np.floating[Any]]


class ProfileKey(BaseModel):
    """A profile holds for one bundle on one camera and runtime looking at one product, and for nothing else."""

    model_config = ConfigDict(frozen=True)

    bundle_hash: str
    camera: str
    product: str
    runtime: str


class Profile(BaseModel):
    """Mean and covariance of window means in control. `held_out` holds, per group of entries, one T2 per window."""

    model_config = ConfigDict(frozen=True)

    key: ProfileKey
    names: tuple[str, ...]
    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    windows: int
    images: int = Field(description="images of a typical window")
    shrinkage: float = Field(description="0: covariance as measured .. 1: entries taken for unrelated")
    held_out: dict[str, tuple[float, ...]]


class Commissioning(BaseModel):
    """Window means collected so far; a value. Add windows until `complete`, then take the `profile`."""

    model_config = ConfigDict(frozen=True)

    key: ProfileKey
    windows_needed: int = Field(default=PRODUCTION_WINDOWS, ge=20)
    names: tuple[str, ...] = ()
    means: tuple[tuple[float, ...], ...] = ()
    spreads: tuple[float, ...] = Field(default=(), description="sum over windows of the within-window variances")
    images: tuple[int, ...] = ()

    def add(self, window: WindowMean) -> Commissioning:
        """One more window. Entries that are not finite or named differently from before make it be left out."""
        if not np.isfinite(window.mean).all() or (self.names and window.names != self.names):
            return self
        before = self.spreads or (0.0,) * len(window.names)
        changes = {
            "names": window.names,
            "means": (*self.means, window.mean),
            "spreads": tuple(a + b for a, b in zip(before, window.spread, strict=True)),
            "images": (*self.images, window.images),
        }
        return self.model_copy(update=changes)

    @property
    def complete(self) -> bool:
        """Whether enough windows were seen."""
        return len(self.means) >= self.windows_needed

    def profile(self) -> Profile:
        """The profile of what was seen. Raises ValueError while it is not complete."""
        if not self.complete:
            raise ValueError(f"{len(self.means)} of {self.windows_needed} commissioning windows seen")
        means, images = np.array(self.means), int(np.median(self.images))  # [n, m]
        floor = least_variance(self.names, means, np.array(self.spreads) / len(means), images)
        mean, covariance, shrinkage = shrunk_covariance(means, floor)
        return Profile(
            key=self.key,
            names=self.names,
            mean=rounded(mean),
            covariance=tuple(rounded(row) for row in covariance),
            windows=len(means),
            images=images,
            shrinkage=shrinkage,
            held_out={name: rounded(values) for name, values in held_out_t2(self.names, means, floor).items()},
        )


def least_variance(names: tuple[str, ...], means: Floats, spread: Floats, images: int) -> Floats:
    """Variance [m] that a window mean has at least: the spread of single images over their number. A class that was
    never answered is taken to appear as often as three times in all that was seen (the rule of three)."""
    seen = len(means) * images
    share = np.maximum(means.mean(axis=0), 3.0 / seen)
    rare = np.array([name.startswith("class-") for name in names])
    smallest = np.where(rare, share * (1.0 - np.minimum(share, 0.5)), 1e-12)
    return np.maximum(spread, smallest) / images


def shrunk_covariance(means: Floats, floor: Floats) -> tuple[Floats, Floats, float]:
    """Mean [m], covariance [m, m] and shrinkage of window means [n, m] whose variances are at least `floor` [m]."""
    n = len(means)
    mean = means.mean(axis=0)
    deviations = means - mean
    scale = np.sqrt(np.maximum(deviations.var(axis=0) * n / (n - 1.0), floor))  # [m]
    z = deviations / scale
    correlation = z.T @ z / (n - 1.0)
    strength = _ledoit_wolf(z, correlation)
    shrunk = (1.0 - strength) * correlation
    np.fill_diagonal(shrunk, 1.0)
    return mean, shrunk * np.outer(scale, scale), strength


def _ledoit_wolf(z: Floats, correlation: Floats) -> float:
    """Shrinkage intensity of standardised rows [n, m] towards the identity (Ledoit and Wolf 2004, section 3.3)."""
    n, m = z.shape
    distance = ((correlation - np.eye(m)) ** 2).sum()
    sampling = ((z**2).T @ (z**2) / n - correlation**2).sum() / n
    return float(np.clip(sampling / distance, 0.0, 1.0)) if distance > 0 else 1.0


def t2(deviations: Floats, covariance: Floats) -> Floats:
    """Hotelling's T2 of deviations [n, m] from the mean, for one covariance [m, m]; shape [n]."""
    solved = np.linalg.solve(covariance, deviations.T)  # [m, n]
    values: Floats = np.einsum("nm,mn->n", deviations, solved)
    return values


def groups(names: tuple[str, ...]) -> dict[str, NDArray[np.bool_]]:
    """Masks [m] over the entries: `all`, and each of `image`, `embedding`, `class` that has entries."""
    kinds = np.array([group_of(name) for name in names])
    masks = {"all": np.ones(len(names), bool)}
    masks.update({kind: kinds == kind for kind in ("image", "embedding", "class") if (kinds == kind).any()})
    return masks


def held_out_t2(names: tuple[str, ...], means: Floats, floor: Floats) -> dict[str, Floats]:
    """T2 [n] of every window under a profile learned from the other blocks of neighbouring windows, per group."""
    n = len(means)
    block = np.arange(n) * BLOCKS // n
    masks = groups(names)
    values: dict[str, Floats] = {name: np.empty(n) for name in masks}
    for held in range(BLOCKS):
        inside = block == held
        mean, covariance, _ = shrunk_covariance(means[~inside], floor)
        for name, mask in masks.items():
            values[name][inside] = t2((means[inside] - mean)[:, mask], covariance[np.ix_(mask, mask)])
    return values
