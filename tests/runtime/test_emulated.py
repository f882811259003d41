"""What processors without VNNI answer, in an emulator: right answers only, never how fast."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from runtime.machine import device_class
from runtime.session import Session, Signature

SIDE, CHANNELS = 16, 32
SIGNATURE = Signature(labels=2, height=SIDE, width=SIDE, embedding_width=CHANNELS)

PROGRAM = """
import sys, json
import numpy
import runtime
from runtime import machine
machine._processor = lambda: ("Haswell", frozenset({"avx2"}))  # an emulator shows the host's /proc/cpuinfo
from runtime.session import Session, Signature
from runtime.onnx_runner import OnnxRunner, session_options
data, images = open(sys.argv[1], "rb").read(), numpy.load(sys.argv[2])
signature = Signature(labels=2, height=16, width=16, embedding_width=32)
session = Session.of_model(data, variant="onnxruntime-cpu/int8", signature=signature)
fast = OnnxRunner(data, session_options(1), ["CPUExecutionProvider"], name="fast", file="fast")
print(json.dumps({
    "class": session.device_class,
    "ours": [session.infer(image).embedding.tolist() for image in images],
    "fast": [fast.run(image, None)["embedding"][0].tolist() for image in images],
}))
"""


def loud_model(largest: int = 127) -> bytes:
    """A 3x3 convolution in int8 whose weights are as large as this and pixels as eight bits hold: with 127 two products
    of them do not fit 16 bits, with 64 they do."""
    chance = np.random.default_rng(0)
    kernel = chance.integers(-largest, largest + 1, (CHANNELS, 8, 3, 3)).astype(np.int8)
    kernel[:, :, 0, :] = largest
    first = np.zeros((8, 3, 1, 1), np.float32)
    first[:, :, 0, 0] = 1.0
    weights = {
        "first": first,
        "kernel": kernel,
        "head": chance.normal(0, 0.01, (CHANNELS, 2)).astype(np.float32),
        "x_scale": np.float32(3.0 / 255),
        "x_zero": np.uint8(0),
        "k_scale": np.full(CHANNELS, 0.01, np.float32),
        "k_zero": np.zeros(CHANNELS, np.int8),
        "y_scale": np.float32(0.5),
        "y_zero": np.uint8(128),
    }
    make = helper.make_node
    nodes = [
        make("Conv", ["image", "first"], ["bright"]),
        make("QuantizeLinear", ["bright", "x_scale", "x_zero"], ["x8"]),
        make("DequantizeLinear", ["x8", "x_scale", "x_zero"], ["x"]),
        make("DequantizeLinear", ["kernel", "k_scale", "k_zero"], ["k"], axis=0),
        make("Conv", ["x", "k"], ["y"], pads=[1, 1, 1, 1]),
        make("QuantizeLinear", ["y", "y_scale", "y_zero"], ["y8"]),
        make("DequantizeLinear", ["y8", "y_scale", "y_zero"], ["z"]),
        make("GlobalAveragePool", ["z"], ["pooled"]),
        make("Flatten", ["pooled"], ["embedding"]),
        make("MatMul", ["embedding", "head"], ["logits"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "loud",
        [value("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [value("logits", TensorProto.FLOAT, [1, 2]), value("embedding", TensorProto.FLOAT, [1, CHANNELS])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = made.SerializeToString()
    return data


def emulated(tmp_path: Path, model: bytes) -> tuple[dict[str, Any], list[list[float]]]:
    """(answers on an emulated Haswell, answers here) on the same bright images."""
    emulator = shutil.which("qemu-x86_64")
    if emulator is None:
        pytest.skip("there is no qemu-x86_64; install the Debian package qemu-user")
    if device_class() != "x86-vnni":
        pytest.skip("the comparison needs a processor with VNNI")
    images = np.random.default_rng(1).uniform(0.6, 1.0, (4, 1, 3, SIDE, SIDE)).astype(np.float32)
    (tmp_path / "model.onnx").write_bytes(model)
    np.save(tmp_path / "images.npy", images)
    done = subprocess.run(
        [emulator, "-cpu", "Haswell", sys.executable, "-c", PROGRAM, tmp_path / "model.onnx", tmp_path / "images.npy"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    session = Session.of_model(model, variant="onnxruntime-cpu/int8", signature=SIGNATURE)
    return json.loads(done.stdout), [session.infer(image).embedding.tolist() for image in images]


@pytest.mark.optional
def test_without_vnni_int8_answers_as_with_it(tmp_path: Path) -> None:
    there, here = emulated(tmp_path, loud_model())
    assert there["class"] == "x86-avx2"
    assert np.abs(np.array(there["ours"]) - np.array(here)).max() < 1e-3
    wrong = np.abs(np.array(there["fast"]) - np.array(here)).max()
    assert wrong > 1.0, "the emulator must show what the exact products are for"


@pytest.mark.optional
def test_weights_of_seven_bits_need_no_exact_products(tmp_path: Path) -> None:
    there, here = emulated(tmp_path, loud_model(64))
    assert np.abs(np.array(there["fast"]) - np.array(here)).max() < 1e-3
    assert there["ours"] == there["fast"]
