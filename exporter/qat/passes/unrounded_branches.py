"""The convolution before a residual addition hands over its sum unrounded, so that TensorRT runs both as one kernel."""

from __future__ import annotations

import onnx
from onnx import NodeProto

from exporter.qat.passes.wiring import DEQUANTIZE, QUANTIZE, Wiring, forget_unused


def unrounded_branches(model: onnx.ModelProto) -> list[str]:
    """Rewrite in place; answers the names of the additions that have an unrounded input now.

    Requires additions that read DequantizeLinear on both sides. Ensures that one side, the last convolution that nobody
    else reads, is added as it is, while the other side and the result stay rounded. A number that is added changes by
    at most half of the step it was rounded to, and more only where it was cut off at the last step.
    """
    wiring, changed, order = Wiring(model), [], {id(node): place for place, node in enumerate(model.graph.node)}
    for node in list(model.graph.node):
        if node.op_type != "Add" or not all(_is_dequantised(wiring.before(node, place)) for place in (0, 1)):
            continue
        branches = [(place, found) for place in (0, 1) if (found := _branch(node, place, wiring)) is not None]
        if not branches:
            continue
        place, (convolution, rounding) = max(branches, key=lambda each: order[id(each[1][0])])
        reading = wiring.writer[node.input[place]]
        node.input[place] = convolution.output[0]
        model.graph.node.remove(reading)
        model.graph.node.remove(rounding)
        changed.append(node.name)
    forget_unused(model)
    return changed


def _branch(node: NodeProto, place: int, wiring: Wiring) -> tuple[NodeProto, NodeProto] | None:
    """The convolution whose sum only this addition reads, and the node that rounds it."""
    reading = wiring.before(node, place)
    rounding = wiring.before(reading) if reading is not None else None
    convolution = wiring.before(rounding) if rounding is not None else None
    if reading is None or rounding is None or convolution is None:
        return None
    alone = all(wiring.only_reader(each.output[0]) is not None for each in (convolution, rounding, reading))
    return (convolution, rounding) if convolution.op_type == "Conv" and rounding.op_type == QUANTIZE and alone else None


def _is_dequantised(node: NodeProto | None) -> bool:
    return node is not None and node.op_type == DEQUANTIZE
