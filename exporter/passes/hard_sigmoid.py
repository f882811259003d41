"""HardSigmoid -> Add, in a quantised graph: rounding to 0..255 already does the clipping to 0..1.

onnxruntime has no HardSigmoid in int8, but an addition: with slope a and offset b, HardSigmoid(x) / s rounded and
limited to 0..255 is (x + b / a) / (s / a) rounded and limited. So the sum is quantised with the scale s / a and read
with s.
"""

from __future__ import annotations

import numpy as np
import onnx

from exporter.passes.graph import View, attribute, put, rebuild

_STEPS = 255


def add_for_hard_sigmoids(model: onnx.ModelProto) -> int:
    """Requires a QDQ graph with uint8 activations. Ensures that no HardSigmoid stands between a DequantizeLinear and
    one QuantizeLinear; its own output is then quantised with the zero point 0 and 255 for 1, which is its whole range.
    Outputs differ by one step of it where the rounding falls on a tie. Returns how many were changed."""
    graph = model.graph
    view = View(graph)
    nodes: list[onnx.NodeProto] = []
    changed = 0
    for node in graph.node:
        quantiser = view.only_reader(node.output[0])
        before = view.writer.get(node.input[0]) if node.op_type == "HardSigmoid" else None
        if before is None or before.op_type != "DequantizeLinear":
            nodes.append(node)
            continue
        if quantiser is None or quantiser.op_type != "QuantizeLinear":
            nodes.append(node)
            continue
        nodes += _addition(graph, node, quantiser)
        for reader in view.readers(quantiser.output[0]):
            _scaled(graph, reader, f"{node.output[0]}_read", 1.0 / _STEPS)
        changed += 1
    rebuild(graph, nodes)
    return changed


def _addition(graph: onnx.GraphProto, node: onnx.NodeProto, quantiser: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The nodes in place of a HardSigmoid: its offset, dequantised, and the sum."""
    slope, offset = attribute(node, "alpha", 0.2), attribute(node, "beta", 0.5)
    name = node.output[0]
    full = put(graph, f"{name}_offset", np.array(_STEPS, np.uint8))
    scale = put(graph, f"{name}_offset_scale", np.array(offset / slope / _STEPS, np.float32))
    zero = put(graph, f"{name}_offset_zero", np.array(0, np.uint8))
    read = f"{name}_offset_read"
    _scaled(graph, quantiser, f"{name}_written", 1.0 / slope / _STEPS)
    return [
        onnx.helper.make_node("DequantizeLinear", [full, scale, zero], [read], name=read),
        onnx.helper.make_node("Add", [node.input[0], read], [name], name=node.name),
    ]


def _scaled(graph: onnx.GraphProto, node: onnx.NodeProto, name: str, scale: float) -> None:
    """Give a QuantizeLinear or DequantizeLinear this scale and the zero point 0."""
    node.input[1] = put(graph, f"{name}_scale", np.array(scale, np.float32))
    node.input[2] = put(graph, f"{name}_zero", np.array(0, np.uint8))
