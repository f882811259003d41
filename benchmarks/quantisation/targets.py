"""The same weights through two targets' graphs: where they answer differently, and how often the ranges are left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from exporter.qat.passes.from_zero import from_zero
from exporter.qat.passes.unsigned import START, unsigned
from exporter.qat.passes.wiring import Wiring

_SYMMETRIC_STEPS = 127


def disagreements(
    symmetric: NDArray[np.float32], other: NDArray[np.float32], images: Sequence[str]
) -> list[dict[str, Any]]:
    """Of logits [n, k] each: the images whose most probable class differs, with the lead (in logits) that the class had
    over the next one in each graph, the clearest first."""
    rows = np.flatnonzero(symmetric.argmax(1) != other.argmax(1))
    found = [
        {"image": images[row], "symmetric": _lead(symmetric[row]), "other": _lead(other[row])} for row in rows.tolist()
    ]
    return sorted(found, key=lambda each: -min(each["symmetric"], each["other"]))


def _lead(logits: NDArray[np.float32]) -> float:
    first, second = np.sort(logits)[::-1][:2]
    return round(float(first - second), 4)


def saturating(symmetric: Path, images: Sequence[NDArray[np.float32]]) -> dict[str, float]:
    """Of the symmetric graph [1, 3, h, w], counted from zero with the same scales: the share of values above 127 steps,
    which the symmetric graph cuts off, over all tensors that are never negative (`share`) and in the worst of them
    (`worst`). Such a value differs by at most 128 steps, as much as the symmetric graph's whole range."""
    model = onnx.load(symmetric)
    unsigned(model)
    from_zero(model)
    names = [node.output[0] for node in Wiring(model).rounded() if node.input[2] == START]
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.UINT8, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    counts = np.zeros((len(names), 2))  # above 127 steps, all
    for image in images:
        for row, value in enumerate(session.run(names, {session.get_inputs()[0].name: image})):
            counts[row] += (value > _SYMMETRIC_STEPS).sum(), value.size
    above, all_of_them = counts.T
    return {"share": float(above.sum() / all_of_them.sum()), "worst": float((above / all_of_them).max())}
