"""Streams drawn from recorded ones: the stationary bootstrap (Politis and Romano 1994, "The stationary bootstrap",
Journal of the American Statistical Association 89).

Lengths of blocks are geometric, and what follows a block starts anywhere. Within a block rows come in their recorded
order, so that a stream has the measured autocorrelation of the record, fading over a block.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def blocks(rng: np.random.Generator, images: int, shape: tuple[int, int], length: float) -> Rows:
    """Streams [runs, n] of the rows 0..images-1, in blocks of `length` rows on average."""
    starts = rng.random(shape) < 1.0 / length
    starts[:, 0] = True
    at = np.arange(shape[1])
    began = np.maximum.accumulate(np.where(starts, at, 0), axis=1)
    first = np.take_along_axis(rng.integers(images, size=shape), began, axis=1)
    return (first + at - began) % images
