"""What camera faults would do to the drift vector: pictures of the site, spoilt, asked of the session that serves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from contracts.bundle import DriftReference
from contracts.preprocessing import Preprocessing
from contracts.signatures import Signature, Signatures
from drift.vector import VectorReference, group_of
from drift.window import rounded
from exporter.source import Labelled, Source
from runtime.faults import Growing, Pixels, growing
from runtime.preprocessing import blackened, prepare
from runtime.session import Session
from trainer.image import pixels_of

_DIGITS = 3
_TIMES = 2  # the network's resolution: what a spoilt picture has at least, where it had as much
_UNSEEN = 3.0  # pictures that may be answered otherwise although none was: the rule of three

Floats = NDArray[np.floating[Any]]


def with_signatures(
    promised: DriftReference,
    source: Source,
    session: Session,
    root: Path,
    usual: Sequence[Labelled],
    spoilt: Sequence[Labelled],
) -> DriftReference:
    """The reference with the signatures of its vectors: means of the classes from `usual` examples, faults from
    `spoilt` ones. As it is where there are fewer than two of either."""
    if min(len(usual), len(spoilt)) < 2:
        return promised
    asked = _Asked(source, session, VectorReference.load(root / promised.file))
    return promised.model_copy(update={"signatures": asked.signatures(usual, spoilt)})


class _Asked:
    """Pictures in, drift vectors out."""

    def __init__(self, source: Source, session: Session, reference: VectorReference) -> None:
        self._spec, self._session, self._reference = source.preprocessing, session, reference
        self._names = reference.names(source.labels)

    def signatures(self, usual: Sequence[Labelled], spoilt: Sequence[Labelled]) -> Signatures:
        """All of them."""
        vectors = np.stack([self._vector(self._pixels(example)) for example in usual])  # [n, m]
        labels = np.array([example.label for example in usual])
        means = {str(label): vectors[labels == label].mean(axis=0) for label in sorted(set(labels))}
        away = vectors - np.stack([means[label] for label in labels])
        within = away.T @ away / max(len(labels) - len(means), 1)
        faults = tuple(growing(resizing=not self._spec.in_source_pixels))
        by_picture = [self._moved(faults, small(self._pixels(example), self._spec)) for example in spoilt]
        moved = [
            (fault, np.stack(each, axis=1)) for fault, each in zip(faults, zip(*by_picture, strict=True), strict=True)
        ]
        families = sorted({fault.family for fault, _ in moved})
        indicators = np.array([group_of(name) == "class" for name in self._names])
        seldom = np.where(indicators, _UNSEEN, 0.0)  # of the pictures, at most, are of a class that none was
        varied = vectors.var(axis=0)
        return Signatures(
            images=len(spoilt),
            scale=_short(np.sqrt(np.where(varied > 0.0, varied, seldom / len(usual)))),
            faults=tuple(
                Signature(family=fault.family, points=tuple(_short(mean) for mean in steps.mean(axis=1)))
                for fault, steps in moved
            ),
            spreads={
                name: _short(
                    np.maximum(_spread([steps for fault, steps in moved if fault.family == name]), seldom / len(spoilt))
                )
                for name in families
            },
            classes={label: _short(mean) for label, mean in means.items()},
            shares={label: float((labels == label).mean().round(4)) for label in means},
            within=tuple(_short(row[: place + 1]) for place, row in enumerate(within)),
        )

    def _moved(self, faults: Sequence[Growing], picture: Pixels) -> list[Floats]:
        """By how much a picture's vector moves, for each fault, at each strength [strengths, m]."""
        before = self._vector(picture)
        return [np.stack([self._vector(spoil(picture)) for spoil in fault.spoils]) - before for fault in faults]

    def _pixels(self, example: Labelled) -> Pixels:
        return pixels_of(example.path, self._spec)

    def _vector(self, pixels: Pixels) -> Floats:
        pixels = blackened(pixels, self._spec)
        return self._reference.vector(pixels, self._session.infer(prepare(pixels, self._spec))).astype(np.float64)


def small(picture: Pixels, spec: Preprocessing) -> Pixels:
    """The picture, every square of so many pixels their mean, as small as twice the network's resolution allows: a
    hundred faults on forty pictures of 20 million pixels would take half an hour. As it is where places of it count.

    >>> spec = Preprocessing(width=16, height=16, mean=(0.5,) * 3, std=(0.5,) * 3)
    >>> small(np.zeros((100, 140, 3), np.uint8), spec).shape, small(np.zeros((63, 140, 3), np.uint8), spec).shape
    ((34, 47, 3), (63, 140, 3))
    """
    if spec.in_source_pixels:
        return picture
    width, height = spec.resolution
    factor = min(picture.shape[0] // (_TIMES * height), picture.shape[1] // (_TIMES * width))
    return picture if factor < 2 else np.asarray(Image.fromarray(picture).reduce(factor))


def _spread(steps: Sequence[Floats]) -> Floats:
    """Variance over pictures [m], of all strengths [strengths, n, m] of all faults on average."""
    variances: Floats = np.concatenate([each.var(axis=1, ddof=1) for each in steps]).mean(axis=0)
    return variances


def _short(values: Floats) -> tuple[float, ...]:
    return rounded(values.tolist(), _DIGITS)
