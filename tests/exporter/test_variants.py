"""Which variants an export makes: the targets of this machine, in an order that does not change."""

from __future__ import annotations

import numpy as np

from contracts.bundle import Precision
from contracts.names import FilePath
from drift.vector import VectorReference, fit_reference
from exporter.reference import SHARED_SHIFT, shift
from exporter.variants import planned
from runtime.targets import targets

FILES: dict[Precision, FilePath] = {"int8": "model.int8.onnx", "fp32": "model.fp32.onnx"}


def test_onnxruntime_comes_first_and_int8_before_fp32() -> None:
    here = {"onnxruntime-cpu", "openvino-cpu"}
    made = planned(FILES, unavailable=lambda target: None if target.name in here else "no")
    assert [each.name for each in made] == [
        "onnxruntime-cpu/int8", "openvino-cpu/int8", "onnxruntime-cpu/fp32", "openvino-cpu/fp32"
    ]  # fmt: skip
    assert {each.name: each.file for each in made}["openvino-cpu/int8"] == FILES["int8"]


def test_a_target_takes_part_only_in_its_precisions_and_with_its_graph() -> None:
    made = planned(FILES, unavailable=lambda target: None)
    for each in made:
        target = targets()[each.target]
        assert each.precision in target.precisions
        assert target.graph == "x86"


def test_a_shift_is_counted_in_standard_deviations_of_the_reference() -> None:
    chance = np.random.default_rng(0)
    embeddings = (chance.normal(0, 1, (400, 6)) * [9, 3, 1, 1, 1, 1]).astype(np.float32)
    arrays = fit_reference(embeddings, embeddings[:, :2], np.zeros(400, int), components=2)
    reference = VectorReference.of(arrays)
    moved = embeddings.copy()
    moved[:, 0] += 0.9
    assert 0.08 < shift(moved, embeddings, reference) < 0.12
    assert shift(embeddings, embeddings, reference) == 0.0 < SHARED_SHIFT
