"""Streams of recorded images: which row of which part comes next. Independent, or blocks of neighbours.

Blocks are those of the stationary bootstrap (Politis and Romano 1994, "The stationary bootstrap", Journal of the
American Statistical Association 89): lengths are geometric, and what follows a block starts anywhere. Within a block
the images come in their recorded order, so that the stream has the measured autocorrelation of the record, fading over
`BLOCK` images.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 30.0  # images, on average
KINDS = ("independent", "autocorrelated")

Floats = NDArray[np.floating[Any]]
Rows = NDArray[np.int64]


def stream(rng: np.random.Generator, kind: str, images: int, shape: tuple[int, int]) -> Rows:
    """Rows 0..images-1 [runs, length] of a part."""
    if kind == "independent":
        return rng.integers(images, size=shape)
    return blocks(rng, images, shape)


def blocks(rng: np.random.Generator, images: int, shape: tuple[int, int], length: float = BLOCK) -> Rows:
    """The stationary bootstrap [runs, n] of `images` rows."""
    starts = rng.random(shape) < 1.0 / length
    starts[:, 0] = True
    at = np.arange(shape[1])
    began = np.maximum.accumulate(np.where(starts, at, 0), axis=1)
    first = np.take_along_axis(rng.integers(images, size=shape), began, axis=1)
    return (first + at - began) % images


def likeness(vectors: Floats, lag: int = 1) -> float:
    """Autocorrelation of rows [n, m] in their order, mean over the entries that vary."""
    away = vectors - vectors.mean(axis=0)
    varies = away.std(axis=0) > 1e-6
    away = away[:, varies]
    return float(((away[lag:] * away[:-lag]).mean(axis=0) / away.var(axis=0)).mean())
