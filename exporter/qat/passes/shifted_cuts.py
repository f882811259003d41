"""A ReLU6 that is read without padding moves down by half its range, so that int8's own ends cut off where it does."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto

from contracts.errors import BundleError
from exporter.qat.passes.absorbed_cuts import is_absorbed
from exporter.qat.passes.wiring import DEQUANTIZE, Wiring, forget_unused

_FIRST, _STEPS = -128, 255


def shifted_cuts(model: onnx.ModelProto) -> list[str]:
    """Rewrite in place; answers the names of the float tensors that are lower by 128 steps now.

    Requires that what is counted from -128 in int8, with one scale, is a Clip or Relu behind a convolution, and read by
    convolutions of int8 weights without padding alone. Ensures zero point 0 and no Clip or Relu there: the
    convolution's bias is less by 128 steps, and the readers' are more by what that makes of their weights. What is
    rounded has the same int8 numbers and what is read from them the same sums, but for the rounding of these
    biases in float32. Raises BundleError where the graph is another one.
    """
    wiring, changed = Wiring(model), []
    for node in wiring.rounded():
        if np.all(wiring.value(node.input[2]) != _FIRST):
            continue
        cut, readings = wiring.before(node), wiring.readers(node.output[0])
        scale = float(wiring.value(node.input[1]))
        convolution = wiring.before(cut) if cut is not None and _ends(cut, scale * _STEPS, wiring) else None
        if cut is None or convolution is None or convolution.op_type != "Conv":
            raise BundleError(f"{node.name} counts from {_FIRST} what is no ReLU6 of a convolution; count it from 0")
        shift = scale * _FIRST
        _move(convolution, np.array(shift), wiring)
        for reader in [each for reading in readings for each in wiring.readers(reading.output[0])]:
            _move(reader, -shift * _sums(reader, wiring), wiring)
        zero = wiring.keep("int8_0", np.array(0, np.int8))
        for each in (node, *readings):
            each.input[2] = zero
        node.input[0] = convolution.output[0]
        model.graph.node.remove(cut)
        changed.append(convolution.output[0])
    forget_unused(model)
    return changed


def _ends(cut: NodeProto, last: float, wiring: Wiring) -> bool:
    """Whether int8 cuts off all that it does."""
    return cut.op_type == "Relu" or (cut.op_type == "Clip" and is_absorbed(cut, last, wiring))


def _move(convolution: NodeProto, by: NDArray[np.float64], wiring: Wiring) -> None:
    """Add to its bias [m] what is a number, or one for each channel."""
    inputs = list(convolution.input)
    if len(inputs) > 2 and inputs[2] not in wiring.constants:
        raise BundleError(f"{convolution.name} has a bias that is computed; count what it answers or reads from 0")
    bias = wiring.value(inputs[2]) if len(inputs) > 2 else np.zeros(_outputs(convolution, wiring))
    name = f"{convolution.output[0]}_bias"
    while name in wiring.constants:
        name += "_moved"
    moved = wiring.keep(name, (bias.astype(np.float64) + by).astype(np.float32))
    del convolution.input[:]
    convolution.input.extend([*inputs[:2], moved])


def _outputs(convolution: NodeProto, wiring: Wiring) -> int:
    weights = wiring.before(convolution, 1)
    return len(wiring.value(convolution.input[1] if weights is None else weights.input[0]))


def _sums(reader: NodeProto, wiring: Wiring) -> NDArray[np.float64]:
    """Of the weights [m, c, h, w] of each output channel, as they are dequantised: [m]."""
    weights = wiring.before(reader, 1) if reader.op_type == "Conv" else None
    if weights is None or weights.op_type != DEQUANTIZE or any(_pads(reader)):
        raise BundleError(f"{reader.name} is no convolution of int8 weights without padding; count it from 0")
    steps, scale = wiring.value(weights.input[0]), wiring.value(weights.input[1])
    sums: NDArray[np.float64] = steps.astype(np.float64).sum(axis=(1, 2, 3)) * scale.reshape(-1)
    return sums


def _pads(convolution: NodeProto) -> list[int]:
    return [end for each in convolution.attribute if each.name == "pads" for end in each.ints]
