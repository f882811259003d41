"""Drift vectors of real images, as `vectors` made them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONTROL = "control"
GOOD = ("functional", "free", "healthy")

Floats = NDArray[np.floating[Any]]
Numbers = NDArray[np.int64]
_KINDS = ("parts", "truth", "groups")


@dataclass(frozen=True)
class Recorded:
    """Vectors [n, m] by part: `control`, each real shift, and each planted fault (`light-slight`, ...) on the images in
    control, row by row those of `control`. `labels` are the network's, in the order of its logits; `truth` [n] is the
    true label's place among all of the set, `groups` [n] the number of the group, both of every part."""

    name: str
    names: tuple[str, ...]
    labels: tuple[str, ...]
    parts: dict[str, Floats]
    truth: dict[str, Numbers]
    groups: dict[str, Numbers]

    @property
    def shifts(self) -> tuple[str, ...]:
        """All that was planted or came."""
        return tuple(part for part in self.parts if part != CONTROL)

    @property
    def good(self) -> str:
        """The label of the parts that pass."""
        return next(label for label in self.labels if label in GOOD)

    @property
    def hash(self) -> str:
        """SHA-256 of all vectors."""
        found = hashlib.sha256("\n".join(self.names).encode())
        for name, vectors in sorted(self.parts.items()):
            found.update(name.encode())
            found.update(np.ascontiguousarray(vectors, "<f4").tobytes())
        return found.hexdigest()

    def save(self, path: Path) -> None:
        """Write all of it; a half-written file is not seen."""
        arrays: dict[str, Any] = {"names": np.array(self.names), "labels": np.array(self.labels)}
        for kind in _KINDS:
            arrays |= {f"{kind}/{name}": array for name, array in getattr(self, kind).items()}
        unfinished = path.with_suffix(".unfinished.npz")
        np.savez(unfinished, **arrays)
        unfinished.replace(path)

    @classmethod
    def load(cls, name: str, path: Path) -> Recorded:
        """What `save` wrote."""
        with np.load(path, allow_pickle=False) as kept:
            arrays = {key: kept[key] for key in kept.files}
        kinds = {
            kind: {key.partition("/")[2]: array for key, array in arrays.items() if key.startswith(f"{kind}/")}
            for kind in _KINDS
        }
        return cls(name, tuple(arrays["names"].tolist()), tuple(arrays["labels"].tolist()), **kinds)
