"""Float biases become int32 ones in steps of the convolution's own products, without which it runs in float."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto

from contracts.errors import BundleError
from exporter.qat.passes.wiring import DEQUANTIZE, Wiring, forget_unused


def integer_biases(model: onnx.ModelProto) -> float:
    """Rewrite in place; answers the largest change of a bias, in steps of its convolution's products (at most 0.5).

    Requires convolutions whose input and weights [m, ...] come from DequantizeLinear. Ensures an int32 bias with scale
    s_x * s_w and zero point 0 for each; a channel's sum changes by at most half of that product. Raises BundleError
    where a bias does not fit 32 bits.
    """
    wiring, largest = Wiring(model), 0.0
    for node in list(model.graph.node):
        if node.op_type != "Conv" or len(node.input) < 3 or node.input[2] not in wiring.constants:
            continue
        step = _step(node, wiring)
        if step is None:
            continue
        bias = wiring.value(node.input[2]).astype(np.float64)
        steps = np.rint(bias / step)
        if np.abs(steps).max(initial=0) > np.iinfo(np.int32).max:
            raise BundleError(f"{node.name}: its bias of {np.abs(bias).max():g} does not fit 32 bits; keep it in float")
        largest = max(largest, float(np.abs(bias / step - steps).max(initial=0)))
        node.input[2] = _dequantised(node, steps.astype(np.int32), step.astype(np.float32), wiring)
    forget_unused(model)
    return largest


def _step(node: NodeProto, wiring: Wiring) -> NDArray[np.float64] | None:
    """s_x * s_w [m], as onnxruntime multiplies them; None where one of the two is not quantised."""
    image, weight = wiring.before(node, 0), wiring.before(node, 1)
    if image is None or weight is None or image.op_type != DEQUANTIZE or weight.op_type != DEQUANTIZE:
        return None
    product = wiring.value(image.input[1]).reshape(-1) * wiring.value(weight.input[1]).reshape(-1)
    step: NDArray[np.float64] = product.astype(np.float64)
    return step


def _dequantised(node: NodeProto, steps: NDArray[np.int32], scale: NDArray[np.float32], wiring: Wiring) -> str:
    """A DequantizeLinear of these steps before the node; answers what it writes."""
    name = f"{node.name}_bias"
    inputs = [
        wiring.keep(f"{name}_steps", steps),
        wiring.keep(f"{name}_scale", scale),
        wiring.keep(f"int32_zeros_{len(scale)}", np.zeros(len(scale), np.int32)),
    ]
    made = onnx.helper.make_node(DEQUANTIZE, inputs, [f"{name}_dequantised"], name=f"{name}_dequantise", axis=0)
    place = list(wiring.graph.node).index(node)
    wiring.graph.node.insert(place, made)
    return str(made.output[0])
