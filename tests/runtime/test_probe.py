"""Before a switch a station asks the golden samples."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.bundle import GoldenSample
from contracts.errors import BundleError
from runtime.bundle import Bundle
from runtime.probe import expected_answer, probe
from runtime.session import Session
from tests.simulators.small_bundle import write_small_bundle


def test_good_bundle_passes(small_bundle: Bundle) -> None:
    probe(small_bundle, Session(small_bundle))


def test_bundle_that_answers_differently_is_refused(tmp_path: Path) -> None:
    bundle = write_small_bundle(tmp_path / "b", golden_shift=0.06)
    with pytest.raises(BundleError, match=r"golden/1\.png 0\.060 away from the certified answer \(allowed 0\.05\)"):
        probe(bundle, Session(bundle))


def test_difference_within_the_tolerance_passes(tmp_path: Path) -> None:
    bundle = write_small_bundle(tmp_path / "b", golden_shift=0.04)
    probe(bundle, Session(bundle))


def test_variant_without_expected_answers_is_refused(tmp_path: Path) -> None:
    samples = [{"file": "golden/1.png", "expected": {"onnxruntime-cpu/int8": [0.5, 0.5]}}]
    bundle = write_small_bundle(tmp_path / "b", golden_samples=samples)
    with pytest.raises(BundleError, match="no expected answer for onnxruntime-cpu/fp32"):
        probe(bundle, Session(bundle))


def test_expectation_for_other_classes_is_refused(tmp_path: Path) -> None:
    samples = [{"file": "golden/1.png", "expected": {"onnxruntime-cpu/fp32": [1.0]}}]
    bundle = write_small_bundle(tmp_path / "b", golden_samples=samples)
    with pytest.raises(BundleError, match="expects 1 classes, the model has 2"):
        probe(bundle, Session(bundle))


def test_golden_sample_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    samples = [{"file": "model.onnx", "expected": {"onnxruntime-cpu/fp32": [0.5, 0.5]}}]
    folder = tmp_path / "b"
    bundle = write_small_bundle(folder, golden_samples=samples)
    with pytest.raises(BundleError, match=r"golden sample model\.onnx cannot be used"):
        probe(bundle, Session(bundle))


def test_bundle_that_is_too_slow_is_refused(small_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"took|does not answer"):
        probe(small_bundle, Session(small_bundle), limit_seconds=1e-9)


def test_a_variant_that_the_exporter_could_not_run_is_held_to_the_same_precision_then_to_fp32() -> None:
    expected = {"onnxruntime-cpu/int8": (0.9, 0.1), "onnxruntime-cpu/fp32": (0.8, 0.2)}
    sample = GoldenSample(file="golden/1.png", expected=expected)
    assert expected_answer(sample, "onnxruntime-cpu/int8") == (0.9, 0.1)
    assert expected_answer(sample, "tensorrt/int8") == (0.9, 0.1)
    assert expected_answer(sample, "tensorrt/fp16") == (0.8, 0.2)
    assert expected_answer(GoldenSample(file="golden/1.png", expected={"a/int8": (1.0, 0.0)}), "b/fp32") is None
