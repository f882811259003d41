"""Streams of recorded images: which row of which part comes next. Independent, or blocks of `BLOCK` neighbours
(`drift.bootstrap`), so that the stream has the measured autocorrelation of the record.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drift.bootstrap import blocks

BLOCK = 30.0  # images, on average
KINDS = ("independent", "autocorrelated")

Floats = NDArray[np.floating[Any]]
Rows = NDArray[np.int64]


def stream(rng: np.random.Generator, kind: str, images: int, shape: tuple[int, int]) -> Rows:
    """Rows 0..images-1 [runs, length] of a part."""
    if kind == "independent":
        return rng.integers(images, size=shape)
    return blocks(rng, images, shape, BLOCK)


def likeness(vectors: Floats, lag: int = 1) -> float:
    """Autocorrelation of rows [n, m] in their order, mean over the entries that vary."""
    away = vectors - vectors.mean(axis=0)
    varies = away.std(axis=0) > 1e-6
    away = away[:, varies]
    return float(((away[lag:] * away[:-lag]).mean(axis=0) / away.var(axis=0)).mean())
