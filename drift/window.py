"""Sums over one window of drift vectors, and the means that detectors look at."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from contracts.telemetry import Window


class WindowMean(BaseModel):
    """Mean of the drift vectors of one window, and how much single images spread within it."""

    model_config = ConfigDict(frozen=True)

    names: tuple[str, ...]
    mean: tuple[float, ...]
    spread: tuple[float, ...] = Field(description="variance of single images within the window, entry by entry")
    images: int = Field(ge=1)


def window_mean(window: Window) -> WindowMean | None:
    """The mean of a reported window; None for a window without images."""
    if window.images < 1 or not window.vector_names:
        return None
    return mean_of(window.vector_names, window.vector_sum, window.vector_square_sum, window.images)


def mean_of(names: tuple[str, ...], total: Any, square_total: Any, images: int) -> WindowMean:
    """The mean from the sums of vectors [m] and of their squares [m] over `images` >= 1 images."""
    mean = np.asarray(total, np.float64) / images
    spread = np.maximum(np.asarray(square_total, np.float64) / images - mean**2, 0.0)
    return WindowMean(names=names, mean=rounded(mean), spread=rounded(spread), images=images)


def rounded(values: Iterable[float], digits: int = 7) -> tuple[float, ...]:
    """The values with so many significant digits, by default what float32 knows: stored states stay small."""
    return tuple(float(f"{value:.{digits}g}") for value in values)


class VectorSums:
    """What an agent adds up: number, sum and sum of squares of drift vectors. Sums of several windows add up too."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.images = 0
        self.total: NDArray[np.float64] = np.zeros(len(names))
        self.square_total: NDArray[np.float64] = np.zeros(len(names))

    def add(self, vector: NDArray[np.floating[Any]]) -> None:
        """Count one image's vector [m]."""
        values = vector.astype(np.float64)
        self.images += 1
        self.total += values
        self.square_total += values**2

    def mean(self) -> WindowMean:
        """The mean so far. Raises ValueError where nothing was added."""
        if self.images == 0:
            raise ValueError("no image in this window")
        return mean_of(self.names, self.total, self.square_total, self.images)
