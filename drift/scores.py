"""What the drift vector of one image is worth to a detector that looks at every image.

Single images are far from Gaussian: one odd part may lie ten standard deviations out in one entry. So each entry is
measured in its own spread and clipped, which leaves an image with many entries far out much stranger than one with a
single entry further out. One score is added: how far the image lies from the middle of all, entries taken together. It
moves where images spread more than before although their mean stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drift.profile import shrunk_covariance

CLIP = 4.0  # spreads
LEAST_VARIANCE = 0.5  # of a score: entries that hardly ever vary, as a rare class does, do not outweigh all others
RIDGE = 0.2  # by which correlations are taken back: few images in control leave directions that vary by chance alone
_NEVER_VARIED = 1e-6

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Scores:
    """Turns vectors [..., m] into scores [..., m + 1], of mean 0 (the last nearly) over the images learned."""

    centre: Floats  # [m]
    spread: Floats  # [m]
    root: Floats  # [m, m] of the inverse covariance of the scores
    usual: Floats  # [m + 1], mean of the scores, the last that of the distance
    distance_spread: float

    @classmethod
    def learned(cls, vectors: Floats) -> Scores:
        """From images in control [n, m]. Raises ValueError for values that are not finite, or fewer images than twice
        the entries."""
        n, m = vectors.shape
        if n < 2 * m or not np.isfinite(vectors).all():
            raise ValueError(f"{n} images of {m} entries: at least {2 * m} are needed, and finite ones")
        centre, spread = vectors.mean(axis=0), np.maximum(vectors.std(axis=0), _NEVER_VARIED)
        clipped = _clipped(vectors, centre, spread)
        usual = clipped.mean(axis=0)
        root = inverse_root(clipped, LEAST_VARIANCE)
        distances = np.linalg.norm((clipped - usual) @ root, axis=-1)
        spread_of_distances = max(float(distances.std()), _NEVER_VARIED)
        return cls(centre, spread, root, np.append(usual, distances.mean()), spread_of_distances)

    def of(self, vectors: Floats) -> Floats:
        """Scores [..., m + 1]; none is further than 2 * `CLIP` from 0."""
        clipped = _clipped(vectors, self.centre, self.spread) - self.usual[:-1]
        distance = np.linalg.norm(clipped @ self.root, axis=-1, keepdims=True)
        far = np.clip((distance - self.usual[-1]) / self.distance_spread, -CLIP, CLIP)
        return np.concatenate([clipped, far], axis=-1)


def _clipped(vectors: Floats, centre: Floats, spread: Floats) -> Floats:
    return np.clip((np.asarray(vectors, np.float64) - centre) / spread, -CLIP, CLIP)


def inverse_root(rows: Floats, least: float, inefficiency: float = 1.0) -> Floats:
    """Matrix [m, m] that makes rows [n, m] white, of variances of `least` at least; so many rows are worth one."""
    _, covariance, _ = shrunk_covariance(rows, np.full(rows.shape[1], least), inefficiency)
    damped = (1.0 - RIDGE) * covariance + RIDGE * np.diag(np.diag(covariance))
    values, directions = np.linalg.eigh(damped)
    return np.asarray(directions / np.sqrt(values))
