"""One image and its inference -> one small drift vector, in NumPy only.

Entries in order: how sure the network is (`margin`, `mahalanobis`), what the picture itself looks like (`mean`,
`contrast`, `sharpness`, `evenness`, `focus-evenness`), where it lies in embedding space (`pc-01`, ...) and which class
was answered (`class-LABEL`, one indicator for every class but the first). Plain image statistics accompany the
embedding because an embedding can be blind to what its network was never shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from contracts.errors import BundleError

CONFIDENCE_NAMES = ("margin", "mahalanobis")
IMAGE_NAMES = ("mean", "contrast", "sharpness", "evenness", "focus-evenness")
PRODUCTION_COMPONENTS = 16
DEMO_COMPONENTS = 8
_GRID = 4  # blocks per side for the two evenness entries
_SIDE = 128  # pixels per side that image statistics look at, at most
_SHAPES = {"projection": 2, "offset": 1, "class_means": 2, "precision": 2}

Floats = NDArray[np.floating[Any]]


class Inference(Protocol):
    """What a session answers for one image: `runtime.session.Inference` fits."""

    @property
    def logits(self) -> NDArray[np.float32]: ...  # [k]

    @property
    def embedding(self) -> NDArray[np.float32]: ...  # [d]


def vector_names(labels: Sequence[str], components: int) -> tuple[str, ...]:
    """Names of the vector's entries for classes in logit order.

    >>> vector_names(["good", "scratch"], 2)[:4]
    ('margin', 'mahalanobis', 'mean', 'contrast')
    >>> vector_names(["good", "scratch"], 2)[4:]
    ('sharpness', 'evenness', 'focus-evenness', 'pc-01', 'pc-02', 'class-scratch')
    """
    embedding = tuple(f"pc-{i:02d}" for i in range(1, components + 1))
    return (*CONFIDENCE_NAMES, *IMAGE_NAMES, *embedding, *(f"class-{label}" for label in labels[1:]))


def group_of(name: str) -> str:
    """`image`, `embedding` or `class`: what moved when this entry moves (confidence is read off the embedding)."""
    if name in IMAGE_NAMES:
        return "image"
    return "class" if name.startswith("class-") else "embedding"


def fit_reference(
    embeddings: Floats, logits: Floats, labels: NDArray[np.integer[Any]], *, components: int
) -> dict[str, NDArray[Any]]:
    """The arrays behind `VectorReference`, from training images run through the session that will serve them.

    `embeddings` [n, d], `logits` [n, k], `labels` [n] predicted class indices. Returns `projection` [d, c] float16
    (whitening), `offset` [c], `class_means` [k, c] and `precision` [c, c] float32 (inverse of the covariance shared by
    the classes, in component space). c is `components`, or less where n or d allow no more.
    Raises ValueError for fewer than four images or shapes that do not fit.
    """
    n, k = logits.shape
    if n < 4 or embeddings.shape[0] != n or labels.shape != (n,):
        raise ValueError(
            f"need at least 4 images and matching rows, got {embeddings.shape}, {logits.shape}, {labels.shape}"
        )
    centred = embeddings.astype(np.float64) - embeddings.mean(axis=0, dtype=np.float64)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    kept = int(min(components, n - 2, np.sum(singular > 1e-6 * singular[0]))) if singular[0] > 0 else 0
    if kept < 1:
        raise ValueError("all embeddings are equal: nothing to refer to")
    scale = np.sqrt(n - 1.0) / singular[:kept]  # [c]
    projection = (directions[:kept].T * scale).astype(np.float16)  # [d, c]
    projected = embeddings.astype(np.float32) @ projection.astype(np.float32)  # [n, c]
    offset = projected.mean(axis=0)
    means, precision = _class_statistics(projected - offset, labels, k)
    return {"projection": projection, "offset": offset, "class_means": means, "precision": precision}


def _class_statistics(
    components: NDArray[np.float32], labels: NDArray[np.integer[Any]], k: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Class means [k, c] (0, the overall mean, for a class never answered) and inverse shared covariance [c, c]."""
    n, c = components.shape
    means = np.zeros((k, c), np.float32)
    for label in range(k):
        members = components[labels == label]
        if len(members):
            means[label] = members.mean(axis=0)
    residuals = (components - means[labels]).astype(np.float64)
    covariance = residuals.T @ residuals / max(n - k, 1)
    ridge = 0.05 * np.trace(covariance) / c + 1e-6
    return means, np.linalg.inv(covariance + ridge * np.eye(c)).astype(np.float32)


def save_reference(arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write the arrays of `fit_reference` as a safetensors file."""
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)


@dataclass(frozen=True)
class VectorReference:
    """Turns (image, inference) into a drift vector; one per bundle."""

    projection: NDArray[np.float32]  # [d, c]
    offset: NDArray[np.float32]  # [c]
    class_means: NDArray[np.float32]  # [k, c]
    precision: NDArray[np.float32]  # [c, c]

    @classmethod
    def load(cls, path: Path) -> VectorReference:
        """Read a reference file. Raises BundleError where it is unreadable or its arrays do not fit together."""
        try:
            arrays = load_file(path)
        except (OSError, SafetensorError) as error:
            raise BundleError(f"cannot read drift reference {path}: {error}; export the bundle again") from error
        return cls.of(arrays, source=str(path))

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], *, source: str = "drift reference") -> VectorReference:
        """From arrays in memory. Raises BundleError where they do not fit together."""
        if missing := set(_SHAPES) - set(arrays):
            raise BundleError(f"{source} lacks {sorted(missing)}")
        wrong = [name for name, dimensions in _SHAPES.items() if arrays[name].ndim != dimensions]
        floats = {name: np.asarray(arrays[name], np.float32) for name in _SHAPES}
        c = floats["offset"].size
        if (
            wrong
            or floats["projection"].shape[1] != c
            or floats["precision"].shape != (c, c)
            or floats["class_means"].shape[1] != c
        ):
            raise BundleError(f"{source}: shapes do not fit: { {name: arrays[name].shape for name in _SHAPES} }")
        if not all(np.isfinite(array).all() for array in floats.values()):
            raise BundleError(f"{source} holds values that are not finite")
        return cls(**floats)

    @property
    def components(self) -> int:
        """Principal components kept."""
        return int(self.offset.size)

    def names(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Names of the entries of `vector`, given the classes in logit order."""
        return vector_names(labels, self.components)

    def vector(self, image: NDArray[np.uint8], inference: Inference) -> NDArray[np.float32]:
        """The drift vector [m] of one decoded image [h, w, 3] and what the network answered for it."""
        logits = np.asarray(inference.logits, np.float32).reshape(-1)  # [k]
        components = np.asarray(inference.embedding, np.float32).reshape(-1) @ self.projection - self.offset  # [c]
        label = int(logits.argmax())
        *_, second, first = sorted(logits.tolist())
        away = components - self.class_means[label]
        distance = math.sqrt(max(float(away @ self.precision @ away), 0.0))
        classes = [0.0] * (logits.size - 1)
        if label > 0:
            classes[label - 1] = 1.0
        return np.array([first - second, distance, *_statistics(image), *components.tolist(), *classes], np.float32)


def image_statistics(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`mean` and `contrast` (0..1), `sharpness` (log of the mean step between neighbouring pixels), `evenness` and
    `focus-evenness` (spread of brightness and of sharpness over a 4 x 4 grid: local dirt raises them) of a picture
    [h, w, 3] or [h, w]. Looks at no more than about 128 x 128 pixels and their neighbours."""
    return np.array(_statistics(image), np.float32)


def _statistics(image: NDArray[np.uint8]) -> list[float]:
    """Few calls, and plain numbers from where there are only some: after a network has run, what NumPy needs for each
    kind of call has to be fetched again, and each call on more than 500 values gives other threads the interpreter."""
    height, width = image.shape[:2]
    down, right = -(-height // _SIDE), -(-width // _SIDE)
    seen = _seen(image[::down], right)
    means: list[list[list[float]]] = _block_means(seen)
    (level, brightness), (step, sharpness) = (_apart(each) for each in means)
    away = (seen[0] - np.float32(level)).ravel()
    contrast = math.sqrt(float(away @ away) / away.size)
    focus = [math.log(each + 0.5) for each in sharpness]
    return [level / 255, contrast / 255, math.log(step + 0.5), _spread(brightness) / (level + 8.0), _spread(focus)]


def _seen(rows: NDArray[np.uint8], right: int) -> NDArray[np.float32]:
    """Of every pixel that many columns apart the brightness (mean of its channels) and the step to its neighbour on
    the right, 0..255 [2, rows, columns]."""
    columns = len(range(1, rows.shape[1], right))
    here, beside = (rows[:, : columns * right : right], rows[:, 1::right]) if columns else (rows, rows)
    seen = np.empty((2, *here.shape[:2]), np.float32)
    planes = [(here, beside)] if rows.ndim == 2 else [(here[:, :, i], beside[:, :, i]) for i in range(rows.shape[2])]
    for values, (first, *others) in zip(seen, zip(*planes, strict=True), strict=True):
        np.copyto(values, first)
        for plane in others:
            values += plane
    seen /= np.float32(len(planes))
    np.abs(np.subtract(seen[1], seen[0], out=seen[1]), out=seen[1])
    return seen


def _block_means(values: NDArray[np.float32]) -> list[list[list[float]]]:
    """Of [n, rows, columns], [n, grid + 1, grid + 1]: means over a 4 x 4 grid (a picture smaller than the grid is one
    block), and in the last row and column over all, remainders included."""
    rows, columns = values.shape[1:]
    blocks = _GRID if min(rows, columns) >= _GRID else 1
    means: list[list[list[float]]] = (_averages(rows, blocks) @ values @ _averages(columns, blocks).T).tolist()
    return means


def _apart(means: list[list[float]]) -> tuple[float, list[float]]:
    """The mean over all, and those of the blocks."""
    return means[-1][-1], [each for row in means[:-1] for each in row[:-1]]


def _spread(values: list[float]) -> float:
    """Their standard deviation."""
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))


@lru_cache(maxsize=32)
def _averages(length: int, blocks: int) -> NDArray[np.float32]:
    """[blocks + 1, length] that takes the means of as many equal pieces, and of all."""
    piece = length // blocks
    each = np.kron(np.eye(blocks), np.full((1, piece), 1.0 / piece))  # [blocks, blocks * piece]
    all_of_it = np.full((1, length), 1.0 / length)
    return np.concatenate([np.pad(each, ((0, 0), (0, length - blocks * piece))), all_of_it]).astype(np.float32)
