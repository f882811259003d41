"""A ReLU or ReLU6 that the range of the quantisation behind it does anyway is taken out."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import NodeProto

from exporter.qat.passes.wiring import QUANTIZE, Wiring, forget_unused

_ROUNDING = 1e-6  # of a scale that is the upper end over 255, in float32


def absorbed_cuts(model: onnx.ModelProto) -> list[str]:
    """Rewrite in place; answers the names of the activations that stay: each a Clip whose ends lie
    within the range.

    Requires uint8 activations counted from zero after ReLU-like functions (see `from_zero`). Ensures that no Relu, and
    no Clip whose upper end is at or above the last step, stands before a QuantizeLinear with zero point 0. Negative
    values become 0 there, values above the last step the last one: no output changes by a bit.
    """
    wiring, stays = Wiring(model), []
    for node in list(model.graph.node):
        after = wiring.only_reader(node.output[0]) if node.op_type in ("Relu", "Clip") else None
        if after is None or after.op_type != QUANTIZE or np.any(wiring.value(after.input[2])):
            continue
        last = float(wiring.value(after.input[1])) * 255
        if node.op_type == "Clip" and not is_absorbed(node, last, wiring):
            stays.append(node.name)
            continue
        after.input[0] = node.input[0]
        model.graph.node.remove(node)
    forget_unused(model)
    return stays


def is_absorbed(clip: NodeProto, last: float, wiring: Wiring) -> bool:
    """Whether a Clip cuts off at 0, and above no earlier than the last step."""
    low = wiring.value(clip.input[1]) if len(clip.input) > 1 and clip.input[1] else -np.inf
    high = wiring.value(clip.input[2]) if len(clip.input) > 2 and clip.input[2] else np.inf
    return bool(low <= 0 and high >= last * (1 - _ROUNDING))
