"""Signatures of pictures are true to what few pictures can say."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from contracts.bundle import DriftReference
from drift.vector import group_of
from exporter.signatures import with_signatures
from exporter.source import Source
from runtime.bundle import Bundle
from runtime.session import Session


def test_an_answer_that_no_picture_had_may_still_be_one_in_as_many(
    exported: tuple[Bundle, list[str]], source: Source
) -> None:
    bundle, _ = exported
    blue = [example for example in source.train if example.label == "blue"][:4]
    promised: DriftReference = bundle.manifest.drift_reference.model_copy(update={"signatures": None})
    session = Session(bundle, variant="onnxruntime-cpu/int8")
    known = with_signatures(promised, source, session, Path(bundle.path), blue, blue[:2]).signatures
    assert known is not None
    answers = [place for place, name in enumerate(promised.names) if group_of(name) == "class"]
    assert answers
    assert np.allclose([known.scale[place] for place in answers], np.sqrt(3.0 / 4.0), atol=0.001)
