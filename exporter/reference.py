"""What drift is measured against: embeddings of the training images, by the very session that will serve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from contracts.bundle import DriftReference
from contracts.errors import DatasetError
from drift.vector import VectorReference, fit_reference, save_reference, vector_names
from exporter.source import Labelled, Source, tensors
from runtime.session import Session

FILE = "reference.safetensors"


def write_reference(
    source: Source, session: Session, examples: Sequence[Labelled], root: Path, *, components: int
) -> DriftReference:
    """Fit the reference on `examples` and store it. Raises DatasetError when they are too few or all alike."""
    answers = [session.infer(tensor) for tensor in tensors(examples, source.preprocessing)]
    embeddings = np.stack([answer.embedding for answer in answers])  # [n, d]
    logits = np.stack([answer.logits for answer in answers])  # [n, k]
    try:
        arrays = fit_reference(embeddings, logits, logits.argmax(axis=1), components=components)
    except ValueError as error:
        raise DatasetError(f"no drift reference from {len(examples)} training images: {error}; add images") from error
    save_reference(arrays, root / FILE)
    kept = VectorReference.of(arrays).components
    return DriftReference(
        file=FILE,
        components=kept,
        embedding_width=source.embedding_width,
        names=vector_names(source.labels, kept),
    )
