"""What is never negative gets all 255 steps of uint8 for the range that a symmetric graph has 127 for."""

from __future__ import annotations

import numpy as np
import onnx

from exporter.qat.passes.wiring import Wiring, forget_unused

_HALF, _WHOLE = np.float32(127), np.float32(255)


def full_range(model: onnx.ModelProto) -> list[str]:
    """Rewrite in place; answers the names of the float tensors that have a finer scale now.

    Requires uint8 activations counted from zero where they are never negative (see `from_zero`). Ensures the scale
    s * 127 / 255 for those: the range stays that of 127 old steps, and a value changes by at most half an old and half
    a new step. It is another calibration of the same weights, and has to be certified as one.
    """
    wiring, changed = Wiring(model), []
    for node in wiring.rounded():
        zero = wiring.value(node.input[2])
        if zero.dtype != np.uint8 or np.any(zero):
            continue
        name = wiring.keep(f"{node.input[1]}_whole_range", wiring.value(node.input[1]) * _HALF / _WHOLE)
        changed.append(node.input[0])
        for each in (node, *wiring.readers(node.output[0])):
            each.input[1] = name
    forget_unused(model)
    return changed
