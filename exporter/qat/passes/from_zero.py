"""What is never negative is counted from zero: onnxruntime then drops the ReLU and fuses what precedes it."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import NodeProto

from exporter.qat.passes.unsigned import MIDDLE, START
from exporter.qat.passes.wiring import DEQUANTIZE, Wiring, forget_unused

_NEVER = {"Relu", "Sigmoid", "HardSigmoid"}
_IF_INPUTS_ARE = {
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "ReduceMean",
    "Add",
    "Mul",
    DEQUANTIZE,
    "QuantizeLinear",
}


def from_zero(model: onnx.ModelProto) -> list[str]:
    """Rewrite in place; answers the names of the float tensors that are counted from zero now.

    Requires uint8 activations of zero point 128 (see `unsigned`). Ensures zero point 0, and the *same scale*, for every
    tensor that cannot be negative. A value of up to 127 steps answers the same; a larger one was cut off at 127 steps
    and is now cut off at 255. So the largest change is 128 steps, in the share of values that lie above 127 steps.
    """
    wiring = Wiring(model)
    start, changed = wiring.keep(START, np.array(0, np.uint8)), []
    known: dict[str, bool] = {}
    for node in wiring.rounded():
        if node.input[2] == MIDDLE and _never_negative(node.input[0], wiring, known):
            changed.append(node.input[0])
            node.input[2] = start
            for reader in wiring.readers(node.output[0]):
                reader.input[2] = start
    forget_unused(model)
    return changed


def _never_negative(name: str, wiring: Wiring, known: dict[str, bool]) -> bool:
    if name not in known:
        node = wiring.writer.get(name)
        known[name] = node is not None and _answers_never_negative(node, wiring, known)
    return known[name]


def _answers_never_negative(node: NodeProto, wiring: Wiring, known: dict[str, bool]) -> bool:
    if node.op_type == "Clip":
        return len(node.input) > 1 and node.input[1] in wiring.constants and bool(wiring.value(node.input[1]) >= 0)
    if node.op_type in _NEVER:
        return True
    computed = node.input[:1] if node.op_type in (DEQUANTIZE, "QuantizeLinear", "ReduceMean") else node.input
    return node.op_type in _IF_INPUTS_ARE and all(_never_negative(each, wiring, known) for each in computed)
