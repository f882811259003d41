"""Which variant serves: certified here, then proven here, and only faster by more than noise."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from contracts.bundle import Manifest
from contracts.errors import BundleError
from contracts.schema import EXAMPLE_FOLDER
from runtime import choice
from runtime.choice import Candidates, candidates, fastest, first_choice

FP32, INT8, OPENVINO = "onnxruntime-cpu/fp32", "onnxruntime-cpu/int8", "openvino-cpu/int8"


def manifest(*certificates: dict[str, Any], default: str = INT8) -> Manifest:
    """A bundle with three variants; certificates are what they change in the example's."""
    fields = json.loads((EXAMPLE_FOLDER / "v1" / "manifest.json").read_text(encoding="utf-8"))
    example = {**fields["certificates"][0], "machine": {}, "passed": True, "reasons": ()}
    variants = [
        {"target": "onnxruntime-cpu", "precision": "int8", "file": "int8.onnx"},
        {"target": "onnxruntime-cpu", "precision": "fp32", "file": "fp32.onnx"},
        {"target": "openvino-cpu", "precision": "int8", "file": "int8.onnx"},
    ]
    changed = [{**example, **certificate} for certificate in certificates]
    return Manifest.model_validate(
        {**fields, "variants": variants, "default_variant": default, "certificates": changed}
    )


def found(of: Manifest, missing: str | None = None, device_class: str = "x86-vnni") -> Candidates:
    return candidates(
        of,
        unavailable=lambda target, precision: f"install {target}" if missing in (target, precision) else None,
        device_class=lambda target: device_class,
    )


def names(of: Candidates) -> list[str]:
    return [each.variant.name for each in of.serving]


def certificate(variant: str, device_class: str | None = "x86-vnni", **changes: Any) -> dict[str, Any]:
    return {"variant": variant, "device_class": device_class, **changes}


def test_the_default_comes_first_among_the_certified() -> None:
    of = manifest(certificate(FP32), certificate(INT8), certificate(OPENVINO), default=OPENVINO)
    assert names(found(of)) == [OPENVINO, INT8, FP32]
    assert found(of).unproven == ()


def test_what_is_certified_here_comes_before_what_is_not() -> None:
    of = manifest(certificate(INT8, "aarch64"), certificate(FP32))
    assert names(found(of)) == [FP32, INT8, OPENVINO]
    assert [each.variant.name for each in found(of).certified] == [FP32]


def test_on_another_class_nothing_is_certified() -> None:
    of = manifest(certificate(INT8), certificate(FP32), certificate(OPENVINO))
    assert found(of, device_class="x86-avx2").certified == ()
    assert names(found(of, device_class="x86-avx2")) == [INT8, FP32, OPENVINO]


def test_a_target_that_is_missing_is_passed_over_with_the_reason() -> None:
    of = found(manifest(certificate(INT8), certificate(OPENVINO), default=OPENVINO), missing="openvino-cpu")
    assert names(of) == [INT8, FP32]
    assert of.passed_over == {OPENVINO: "install openvino-cpu"}


def test_a_precision_that_is_missing_is_passed_over_too() -> None:
    of = found(manifest(certificate(INT8), certificate(FP32)), missing="int8")
    assert names(of) == [FP32]
    assert set(of.passed_over) == {INT8, OPENVINO}


def test_a_variant_that_failed_here_never_serves_whatever_others_say() -> None:
    failed = certificate(INT8, passed=False, reasons=("it answers otherwise",))
    of = found(manifest(certificate(INT8, "aarch64"), failed, certificate(FP32)))
    assert INT8 not in names(of)
    assert of.passed_over[INT8] == "its certificate did not pass: it answers otherwise"


def test_a_variant_that_failed_everywhere_is_not_tried_here() -> None:
    of = found(manifest(certificate(INT8, "aarch64", passed=False, reasons=("worse",)), certificate(FP32)))
    assert names(of) == [FP32, OPENVINO]


def test_an_old_certificate_holds_for_the_machine_it_describes() -> None:
    machine = {"system": "Linux x86_64", "flags": ["avx2", "avx512_vnni"]}
    of = manifest(certificate(INT8, None, machine=machine))
    assert [each.variant.name for each in found(of).certified] == [INT8]
    assert found(of, device_class="x86-avx2").certified == ()


def test_nothing_that_runs_is_an_error_with_all_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    none = Candidates((), {INT8: "worse", OPENVINO: "install it"})
    monkeypatch.setattr(choice, "candidates", lambda manifest: none)
    with pytest.raises(BundleError, match=r"no variant does run here: .*worse; openvino-cpu/int8: install it"):
        first_choice(manifest())


def noisy(level: float, seed: int, spread: float = 0.1) -> list[float]:
    return (level * np.random.default_rng(seed).lognormal(0, spread, 40)).tolist()


def test_noise_does_not_decide() -> None:
    chosen = {fastest({"a": noisy(1.0, 2 * seed), "b": noisy(1.0, 2 * seed + 1)})[0] for seed in range(200)}
    assert chosen == {"a"}


def test_a_clear_gain_does_and_is_told() -> None:
    name, why = fastest({"a": noisy(1.0, 1), "b": noisy(0.7, 2), "c": noisy(0.69, 3)})
    assert name == "b"
    assert why.startswith("b takes 0.")


def test_what_the_machine_does_meanwhile_hits_both_alike() -> None:
    load = np.linspace(1.0, 5.0, 40)
    assert fastest({"a": load.tolist(), "b": (0.9 * load).tolist()})[0] == "b"


def test_a_single_one_needs_no_comparison() -> None:
    assert fastest({"a": [1.0]}) == ("a", "a is the only one")
