"""A ReLU or ReLU6 that the range of the quantisation behind it does anyway is taken out."""

from __future__ import annotations

import numpy as np
import onnx

from exporter.qat.passes.wiring import QUANTIZE, Wiring, forget_unused


def absorbed_cuts(model: onnx.ModelProto) -> list[str]:
    """Rewrite in place; answers the names of the activations that stay, each a Clip below the end of its range.

    Requires uint8 activations counted from zero after ReLU-like functions (see `from_zero`). Ensures that no Relu, and
    no Clip whose upper end is at or above the last step, stands before a QuantizeLinear with zero point 0. Negative
    values become 0 there, values above the last step the last one: no output changes by a bit.
    """
    wiring, stays = Wiring(model), []
    for node in list(model.graph.node):
        after = wiring.alone(node.output[0]) if node.op_type in ("Relu", "Clip") else None
        if after is None or after.op_type != QUANTIZE or np.any(wiring.value(after.input[2])):
            continue
        last = float(wiring.value(after.input[1])) * 255
        if node.op_type == "Clip" and len(node.input) > 2 and float(wiring.value(node.input[2])) < last * (1 - 1e-6):
            stays.append(node.name)
            continue
        after.input[0] = node.input[0]
        model.graph.node.remove(node)
    forget_unused(model)
    return stays
