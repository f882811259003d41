"""What may be kept of an inspected image: its file, with all that must not be kept blackened, and its verdict."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from contracts.frame import Verdict
from edge_agent.inspection import Inspection

_SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"BM": ".bmp", b"II*\0": ".tiff", b"MM\0*": ".tiff"}


@dataclass(frozen=True)
class Keepsake:
    """A verdict and its image: `came` as a file, or None where the file must be made from `pixels` [h, w, 3], of which
    only `visible` [h, w] may be kept (None: all). `distance`: Mahalanobis, in the embedding's component space."""

    verdict: Verdict
    distance: float | None
    came: bytes | None
    pixels: NDArray[np.uint8] | None
    visible: NDArray[np.bool_] | None

    @classmethod
    def of(cls, inspection: Inspection) -> Keepsake:
        """Of an image that could be read. Nothing is copied or encoded."""
        image, visible = inspection.capture.image, inspection.visible
        if isinstance(image, bytes) and visible is None and _suffix(image) is not None:
            return cls(inspection.verdict, inspection.distance, image, None, None)
        return cls(inspection.verdict, inspection.distance, None, inspection.pixels, visible)

    @property
    def size_bytes(self) -> int:
        """What it takes in memory."""
        arrays = (self.pixels, self.visible)
        return len(self.came or b"") + sum(array.nbytes for array in arrays if array is not None)

    def file(self) -> tuple[bytes, str]:
        """The image file to keep, and its suffix: as it came where that is a file and nothing must be hidden, else
        PNG."""
        if self.came is not None:
            return self.came, _suffix(self.came) or ""
        kept = self.pixels if self.visible is None else np.asarray(self.pixels) * self.visible[:, :, np.newaxis]
        file = io.BytesIO()
        Image.fromarray(np.asarray(kept)).save(file, "PNG", compress_level=1)
        return file.getvalue(), ".png"


@dataclass(frozen=True)
class Written:
    """A file that is written and has no row in the index of images yet. Called, it writes that, within a commit; `undo`
    deletes the file where no commit will come."""

    enter: Callable[[], None]
    undo: Callable[[], None]

    def __call__(self) -> None:
        self.enter()


def _suffix(image: bytes) -> str | None:
    return next((suffix for magic, suffix in _SUFFIXES.items() if image.startswith(magic)), None)
