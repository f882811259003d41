"""Signatures of pictures are true to what few pictures can say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from contracts.bundle import DriftReference
from drift.vector import group_of
from exporter.signatures import small, with_signatures
from exporter.source import Source
from runtime.bundle import Bundle
from runtime.faults import growing
from runtime.preprocessing import prepare
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


def test_large_pictures_are_spoilt_small_and_move_as_far(exported: tuple[Bundle, list[str]], source: Source) -> None:
    spec = source.preprocessing
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 200, (12, 16, 3), dtype=np.uint8)
    large = np.asarray(Image.fromarray(coarse).resize((spec.width * 7, spec.height * 6), Image.Resampling.BICUBIC))
    seen = small(large, spec)
    assert seen.shape == (spec.height * 2, -(-spec.width * 7 // 3), 3)
    for fault in growing(resizing=True):
        for spoil in fault.spoils:
            there, here = (prepare(spoil(picture), spec) - prepare(picture, spec) for picture in (large, seen))
            assert np.abs(there.mean(axis=(-2, -1)) - here.mean(axis=(-2, -1))).max() < 0.06
