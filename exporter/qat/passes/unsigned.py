"""int8 activations become uint8 of zero point 128: the same numbers under other names, which x86 multiplies faster."""

from __future__ import annotations

import numpy as np
import onnx

from contracts.errors import BundleError
from exporter.qat.passes.wiring import DEQUANTIZE, Wiring, forget_unused

MIDDLE, START = "uint8_128", "uint8_0"


def unsigned(model: onnx.ModelProto) -> None:
    """Rewrite in place.

    Requires that every computed tensor which is quantised is int8 with zero point 0 and one scale. Ensures uint8 with
    zero point 128 and the same scale: q + 128 in place of q, so that no output changes by a bit. Raises BundleError.
    """
    wiring = Wiring(model)
    middle = wiring.keep(MIDDLE, np.array(128, np.uint8))
    for node in wiring.rounded():
        zero = wiring.value(node.input[2])
        if zero.dtype != np.int8 or np.any(zero) or wiring.value(node.input[1]).size != 1:
            raise BundleError(f"{node.name}: expected int8 with zero point 0 and one scale; quantise it symmetrically")
        node.input[2] = middle
        for reader in wiring.readers(node.output[0]):
            if reader.op_type != DEQUANTIZE:
                raise BundleError(f"{reader.name} reads int8 from {node.name}: expected DequantizeLinear alone")
            reader.input[2] = middle
    forget_unused(model)
