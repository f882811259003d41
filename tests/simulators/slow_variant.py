"""A small bundle with two certified variants that answer alike, one of which takes far longer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from contracts.certificate import Certificate
from contracts.schema import EXAMPLE_FOLDER
from runtime.bundle import Bundle, open_bundle, write_bundle_manifest
from runtime.machine import device_class
from tests.simulators.small_bundle import model_bytes, write_small_bundle

SLOW, FAST = "onnxruntime-cpu/fp32", "onnxruntime-cpu/int8"
_CHANNELS, _LAYERS = 64, 4


def write_slow_and_fast(
    folder: Path, *, certified: tuple[str, ...] = (SLOW, FAST), slow: bytes | None = None
) -> Bundle:
    """The default variant is slow (or another model is in its place); the other, of the same answers, is not.
    `certified`: on this class of devices."""
    sound = write_small_bundle(folder / "sound").manifest
    sample = sound.golden_samples[0]
    right = sample.expected[SLOW]
    target = folder / "bundle"
    made = write_small_bundle(target, model=slow or slow_model())
    (target / "fast.onnx").write_bytes(model_bytes(4.0, 0))
    fields = made.manifest.model_dump(mode="json", exclude={"files"}) | {
        "variants": [
            {"target": "onnxruntime-cpu", "precision": "fp32", "file": "model.onnx"},
            {"target": "onnxruntime-cpu", "precision": "int8", "file": "fast.onnx"},
        ],
        "golden_samples": [{"file": sample.file, "expected": {SLOW: list(right), FAST: list(right)}}],
        "certificates": [certificate(name) for name in certified],
    }
    return open_bundle(target, expected_hash=write_bundle_manifest(target, fields))


def slow_model(layers: int = _LAYERS) -> bytes:
    """The small network; to its logits nothing is added, which takes it some ten million products to find out."""
    model = onnx.load_from_string(model_bytes(4.0, 0))
    graph, random = model.graph, np.random.default_rng(0)
    before = "image"
    for number in range(layers):
        width = 3 if number == 0 else _CHANNELS
        kernel = random.normal(0, 0.05, (_CHANNELS, width, 3, 3)).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(kernel, f"slow-{number}"))
        graph.node.append(helper.make_node("Conv", [before, f"slow-{number}"], [f"wide-{number}"], pads=[1] * 4))
        before = f"wide-{number}"
    graph.initializer.append(numpy_helper.from_array(np.zeros((_CHANNELS, 2), np.float32), "nothing"))
    graph.node.append(helper.make_node("GlobalAveragePool", [before], ["average"]))
    graph.node.append(helper.make_node("Flatten", ["average"], ["flat"]))
    graph.node.append(helper.make_node("MatMul", ["flat", "nothing"], ["added"]))
    head = next(node for node in graph.node if node.output[0] == "logits")
    head.output[0] = "bare"
    graph.node.append(helper.make_node("Add", ["bare", "added"], ["logits"]))
    ordered = [*(node for node in graph.node if node.output[0] != "logits"), graph.node[-1]]
    del graph.node[:]
    graph.node.extend(ordered)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def certificate(variant: str) -> dict[str, Any]:
    """One that passed, for this machine's class."""
    example = json.loads((EXAMPLE_FOLDER / "v1" / "manifest.json").read_text(encoding="utf-8"))["certificates"][0]
    changed = {**example, "variant": variant, "device_class": device_class(), "passed": True, "reasons": ()}
    return Certificate.model_validate(changed).model_dump(mode="json")
