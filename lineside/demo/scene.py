"""What a story is played with: images to train on, a line to watch, and sets that nobody ever trains on.

`lineside.demo.simulated` makes everything from a seed; `lineside.demo.pictured` deals out a folder of real pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from contracts.errors import LinesideError
from lineside.stream.control import LineControl
from lineside.stream.source import StreamSettings

CAMERAS = ("camera-1", "camera-2")
HARM = 0.25  # more wrong verdicts, as a share of all: from there on labels prove harm in a few windows


class NoHarm(LinesideError):
    """The first model stands every change that the scene can make."""


@dataclass(frozen=True)
class Labelled:
    """One image nobody trains on, with its truth. uint8 [h, w, 3]."""

    image: NDArray[np.uint8]
    label: str


Wrong = Callable[[Iterator[Labelled]], float]
"""The share of wrong verdicts of the site's first model on labelled images, 0..1."""


class Scene(Protocol):
    """What the story needs to know about its images."""

    site: str
    product: str
    seed: int
    good_labels: tuple[str, ...]
    licence: str
    judged_on_held_out: bool  # whether before / drifted / after come from held-out images or from the line's record

    @property
    def nuisance(self) -> str:
        """What is wrong with one camera, in plain words."""
        ...

    @property
    def shift(self) -> str:
        """What changes for good, in plain words."""
        ...

    def settle_shift(self, wrong: Wrong) -> str:
        """Draw the change until it harms the first model (`HARM`), on images that nothing else uses. Returns what was
        tried, in plain words. Raises NoHarm when nothing harms it."""
        ...

    def write_home(self, folder: Path) -> Path:
        """The manifest of the images for the site's first model."""
        ...

    def write_shifted(self, folder: Path) -> Path:
        """A manifest of parts after the shift, for planted candidates; none of them is in a test set."""
        ...

    def stream(self, control: Path, truth: Path) -> StreamSettings:
        """The line that the agent watches."""
        ...

    def control(self, era: str, *, parts_per_second: float = 0.0, paused: bool = False) -> LineControl:
        """How the line runs in the era `home`, `nuisance` or `shifted`."""
        ...

    def test_set(self, era: str) -> Iterator[Labelled]:
        """Images of `home` or `shifted` that are in nobody's training set."""
        ...
