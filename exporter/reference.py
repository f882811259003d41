"""What drift is measured against: embeddings of the training images, by the very session that will serve.

Each variant has its own embeddings. One that answers nearly those of another shares its reference; for the others one
is fitted, so that a station where another variant serves does not see its rounding as drift.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contracts.bundle import DriftReference
from contracts.errors import DatasetError
from drift.vector import VectorReference, fit_reference, save_reference, vector_names
from exporter.source import Labelled, Source, tensors
from runtime.session import Session

FILE = "reference.safetensors"
SHARED_SHIFT = 0.02
"""Largest mean difference of a component, in its standard deviations, up to which two variants share a reference: a
test of three standard errors would need more than 20,000 images to see it."""


def write_reference(
    source: Source, session: Session, examples: Sequence[Labelled], root: Path, *, components: int, file: str = FILE
) -> DriftReference:
    """Fit the reference on `examples` and store it. Raises DatasetError when they are too few or all alike."""
    answers = [session.infer(tensor) for tensor in tensors(examples, source.preprocessing)]
    embeddings = np.stack([answer.embedding for answer in answers])  # [n, d]
    logits = np.stack([answer.logits for answer in answers])  # [n, k]
    try:
        arrays = fit_reference(embeddings, logits, logits.argmax(axis=1), components=components)
    except ValueError as error:
        raise DatasetError(f"no drift reference from {len(examples)} training images: {error}; add images") from error
    save_reference(arrays, root / file)
    kept = VectorReference.of(arrays).components
    return DriftReference(
        file=file,
        components=kept,
        embedding_width=source.embedding_width,
        names=vector_names(source.labels, kept),
    )


def write_other_references(
    source: Source,
    sessions: Sequence[Session],
    serving: DriftReference,
    embeddings: Mapping[str, NDArray[np.float32]],
    examples: Sequence[Labelled],
    root: Path,
    *,
    default: str,
) -> dict[str, DriftReference]:
    """References by variant name of all `sessions` that may not share the `serving` one of the `default` variant.

    `embeddings` [n, d] are what each variant answered on the same images. Raises DatasetError as `write_reference`.
    """
    found = {default: serving}
    for session in sessions:
        name = session.variant
        if name in found:
            continue
        shared = next(_that_fit(embeddings[name], embeddings, found, root), None)
        found[name] = shared or write_reference(
            source,
            session,
            examples,
            root,
            components=serving.components,
            file=f"reference.{name.replace('/', '.')}.safetensors",
        )
    return {name: reference for name, reference in found.items() if reference != serving}


def shift(mine: NDArray[np.float32], other: NDArray[np.float32], reference: VectorReference) -> float:
    """Largest mean difference of a component between two answers [n, d] on the same images, in its standard
    deviations."""
    return float(np.abs((mine - other).mean(axis=0) @ reference.projection).max())


def _that_fit(
    mine: NDArray[np.float32],
    embeddings: Mapping[str, NDArray[np.float32]],
    found: Mapping[str, DriftReference],
    root: Path,
) -> Iterator[DriftReference]:
    for other, reference in found.items():
        if shift(mine, embeddings[other], VectorReference.load(root / reference.file)) <= SHARED_SHIFT:
            yield reference
