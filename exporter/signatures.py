"""What camera faults would do to the drift vector: pictures of the site, spoilt, asked of the session that serves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.bundle import DriftReference
from contracts.signatures import Signature, Signatures
from drift.vector import VectorReference, group_of
from drift.window import rounded
from exporter.source import Labelled, Source
from runtime.faults import Growing, Pixels, growing
from runtime.preprocessing import blackened, prepare
from runtime.session import Session
from trainer.image import pixels_of

_DIGITS = 3
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
        by_picture = [self._moved(faults, self._pixels(example)) for example in spoilt]  # one in memory at a time
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


def _spread(steps: Sequence[Floats]) -> Floats:
    """Variance over pictures [m], of all strengths [strengths, n, m] of all faults on average."""
    variances: Floats = np.concatenate([each.var(axis=1, ddof=1) for each in steps]).mean(axis=0)
    return variances


def _short(values: Floats) -> tuple[float, ...]:
    return rounded(values.tolist(), _DIGITS)
