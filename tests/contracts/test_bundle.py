"""A manifest that contradicts itself is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from contracts.bundle import Manifest
from contracts.schema import EXAMPLE_FOLDER
from contracts.tasks import SeverityScale, Tasks


@pytest.fixture
def manifest() -> dict[str, Any]:
    text = (EXAMPLE_FOLDER / "v1" / "manifest.json").read_text(encoding="utf-8")
    fields: dict[str, Any] = json.loads(text)
    return fields


def test_default_variant_must_exist(manifest: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="default_variant"):
        Manifest.model_validate(manifest | {"default_variant": "tensorrt/int8"})


def test_good_labels_must_be_labels(manifest: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="fine"):
        Manifest.model_validate(manifest | {"good_labels": ["fine"]})


def test_every_file_that_is_used_must_be_listed(manifest: dict[str, Any]) -> None:
    del manifest["files"]["golden/0.png"]
    with pytest.raises(ValidationError, match=r"golden/0\.png"):
        Manifest.model_validate(manifest)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_number_that_is_none_is_refused(manifest: dict[str, Any], number: str) -> None:
    text = json.dumps(manifest | {"temperature": "HERE"}).replace('"HERE"', number)
    with pytest.raises(ValidationError):
        Manifest.model_validate_json(text)


def test_variant_is_found_by_name_or_is_the_default(manifest: dict[str, Any]) -> None:
    read = Manifest.model_validate(manifest)
    assert read.variant().file == "int8.onnx"
    assert read.variant("onnxruntime-cpu/fp32").file == "fp32.onnx"
    with pytest.raises(KeyError, match="tensorrt/int8"):
        read.variant("tensorrt/int8")


def test_a_manifest_without_tasks_is_written_as_before() -> None:
    text = (EXAMPLE_FOLDER / "v1" / "manifest.json").read_text(encoding="utf-8")
    written = json.loads(Manifest.model_validate_json(text).model_dump_json())
    assert "tasks" not in written
    assert all("tasks" not in certificate for certificate in written["certificates"])


def test_bounds_of_a_scale_rise_and_part_its_levels() -> None:
    with pytest.raises(ValidationError, match="need 1 bounds, not 2"):
        SeverityScale(column="area", names=("none", "small", "large"), bounds=(1.0, 2.0))
    with pytest.raises(ValidationError, match="bounds must rise"):
        SeverityScale(column="area", names=("none", "a", "b", "c"), bounds=(2.0, 1.0))


def test_tasks_are_some() -> None:
    with pytest.raises(ValidationError, match="neither severity nor location"):
        Tasks()


def test_a_manifest_older_than_device_classes_is_written_as_before(manifest: dict[str, Any]) -> None:
    written = json.loads(Manifest.model_validate(manifest).model_dump_json())
    added = {"device_class", "mean_probability_difference", "calibration", "embedding_shift"}
    assert all(not added & set(certificate) for certificate in written["certificates"])
    assert "drift_references" not in written


def test_a_target_nobody_knows_is_read_and_one_that_is_no_name_is_refused(manifest: dict[str, Any]) -> None:
    variant = {"target": "abacus-v2", "precision": "int8", "file": "int8.onnx"}
    read = Manifest.model_validate(manifest | {"variants": [*manifest["variants"], variant]})
    assert read.variant("abacus-v2/int8").target == "abacus-v2"
    with pytest.raises(ValidationError, match="target"):
        Manifest.model_validate(manifest | {"variants": [{**variant, "target": "../abacus"}]})


def test_a_variant_may_have_its_own_drift_reference(manifest: dict[str, Any]) -> None:
    own = {**manifest["drift_reference"], "file": "fp32.onnx"}
    read = Manifest.model_validate(manifest | {"drift_references": {"onnxruntime-cpu/fp32": own}})
    assert read.drift_reference_of("onnxruntime-cpu/fp32").file == "fp32.onnx"
    assert read.drift_reference_of("onnxruntime-cpu/int8") == read.drift_reference
    with pytest.raises(ValidationError, match=r"other\.safetensors"):
        Manifest.model_validate(manifest | {"drift_references": {"x/int8": {**own, "file": "other.safetensors"}}})


def test_a_certificate_is_found_by_variant_and_class(manifest: dict[str, Any]) -> None:
    first = manifest["certificates"][0]
    read = Manifest.model_validate(manifest | {"certificates": [{**first, "device_class": "aarch64"}, first]})
    assert read.certificate(first["variant"], "aarch64") == read.certificates[0]
    assert read.certificate(first["variant"], "x86-vnni") is None
    assert read.certificate("nothing/int8") is None
