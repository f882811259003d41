"""A bundle with a real model small enough to be made in a test: bright pictures are `scratch`, dark ones `good`.

The embedding is 8 random features; drift reference, golden sample and hashes are real: agents probe and run it.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from contracts.preprocessing import Preprocessing
from drift.vector import fit_reference, save_reference, vector_names
from runtime.bundle import Bundle, open_bundle, write_bundle_manifest
from runtime.preprocessing import prepare
from runtime.session import softmax
from tests.simulators.paper_bundle import paper_fields

LABELS = ("good", "scratch")
SIDE = 32
_COMPONENTS = 3


def picture(level: int, seed: int = 0, side: int = 48) -> NDArray[np.uint8]:
    """A noisy grey picture [side, side, 3] around `level`: below 128 the model says good, above it scratch."""
    noise = np.random.default_rng(seed).integers(-12, 13, (side, side, 3))
    return np.clip(level + noise, 0, 255).astype(np.uint8)


def encoded(pixels: NDArray[np.uint8], kind: str = "PNG") -> bytes:
    """As an image file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def write_small_bundle(
    folder: Path, *, site: str = "plant", slope: float = 4.0, golden_shift: float = 0.0, seed: int = 0,
    model: bytes | None = None, **changes: Any,
) -> Bundle:  # fmt: skip
    """Write one under `folder`. A negative `slope` answers the wrong way round; `golden_shift` spoils the golden
    sample; `model` is another one; `changes` replace fields of the manifest."""
    folder.mkdir(parents=True)
    spec = Preprocessing(width=SIDE, height=SIDE, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    (folder / "model.onnx").write_bytes(model or model_bytes(slope, seed))
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])

    def answer(pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        found: list[NDArray[np.float32]] = session.run(["logits", "embedding"], {"image": prepare(pixels, spec)})
        return found

    pictures = [picture(60 + 2 * i, i) for i in range(60)]
    answers = [answer(pixels) for pixels in pictures]
    logits, embeddings = np.concatenate([a[0] for a in answers]), np.concatenate([a[1] for a in answers])
    arrays = fit_reference(embeddings, logits, logits.argmax(axis=1), components=_COMPONENTS)
    save_reference(arrays, folder / "reference.safetensors")
    (folder / "golden").mkdir()
    (folder / "golden" / "1.png").write_bytes(encoded(picture(90, 7)))
    expected = softmax(answer(picture(90, 7))[0][0]) + np.array([-golden_shift, golden_shift])
    fields = paper_fields(
        site,
        labels=LABELS,
        preprocessing=spec.model_dump(),
        variants=[{"target": "onnxruntime-cpu", "precision": "fp32", "file": "model.onnx"}],
        default_variant="onnxruntime-cpu/fp32",
        thresholds={"ng": 0.6, "review_from": 0.4},
        drift_reference={
            "components": arrays["offset"].size,
            "embedding_width": 8,
            "names": vector_names(LABELS, arrays["offset"].size),
        },
        golden_samples=[{"file": "golden/1.png", "expected": {"onnxruntime-cpu/fp32": [float(p) for p in expected]}}],
    )
    fields["created_at"] = datetime(2026, 1, 1, tzinfo=UTC)
    bundle_hash = write_bundle_manifest(folder, {**fields, **changes})
    return open_bundle(folder, expected_hash=bundle_hash)


def model_bytes(slope: float, seed: int) -> bytes:
    """ONNX: logits from mean brightness, embedding from a random convolution."""
    rng = np.random.default_rng(seed)
    weights = {
        "kernel": rng.normal(0, 0.3, (8, 3, 4, 4)).astype(np.float32),
        "head": (slope / 3 * np.array([[-1.0, 1.0]] * 3)).astype(np.float32),
        "bias": np.zeros(2, np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["features"], strides=[4, 4]),
        helper.make_node("Relu", ["features"], ["active"]),
        helper.make_node("GlobalAveragePool", ["active"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["embedding"]),
        helper.make_node("GlobalAveragePool", ["image"], ["level"]),
        helper.make_node("Flatten", ["level"], ["colour"]),
        helper.make_node("Gemm", ["colour", "head", "bias"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 2]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, 8]),
        ],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data
