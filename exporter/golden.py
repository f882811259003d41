"""Samples that travel along with the answers every variant must give: the station's probe before it switches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from contracts.bundle import GoldenSample
from contracts.preprocessing import Preprocessing
from exporter.source import Labelled
from runtime.preprocessing import decode, prepare, visible
from runtime.session import Session
from trainer.image import pixels_of

FOLDER = "golden"


def write_golden_samples(
    examples: Sequence[Labelled], sessions: Sequence[Session], spec: Preprocessing, root: Path
) -> list[GoldenSample]:
    """Store the examples as PNG under `root/golden` and ask every session about what was stored."""
    (root / FOLDER).mkdir()
    samples = []
    for number, example in enumerate(examples, start=1):
        name = f"{FOLDER}/{number:02d}.png"
        Image.fromarray(_small(pixels_of(example.path, spec), spec)).save(root / name, optimize=True)
        tensor = prepare(decode((root / name).read_bytes(), spec), spec)
        expected = {
            session.variant: tuple(float(value) for value in session.infer(tensor).probabilities)
            for session in sessions
        }
        samples.append(GoldenSample(file=name, expected=expected))
    return samples


def _small(image: NDArray[np.uint8], spec: Preprocessing) -> NDArray[np.uint8]:
    """At most twice the network's input in each direction: a bundle travels. Places named in it need all pixels, and
    what may not be kept is black."""
    height, width = image.shape[:2]
    seen = visible(width, height, spec)
    if seen is not None:
        return image * seen[:, :, np.newaxis]
    scale = max(2 * spec.resolution[0] / width, 2 * spec.resolution[1] / height)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(image).resize(size, resample=Image.Resampling.BOX))
