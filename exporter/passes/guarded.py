"""A convolution that stays float must stay float in onnxruntime too.

onnxruntime quantises a float convolution between two quantised tensors by itself when it loads the file, with one scale
for all of its weights: a layer kept in float for its accuracy would silently get the worst of int8. It leaves a
convolution alone whose input was dequantised with a scale for each channel.
"""

from __future__ import annotations

import numpy as np
import onnx

from exporter.passes.graph import View, attribute, put, rebuild


def guard_float_convolutions(model: onnx.ModelProto) -> int:
    """Requires a QDQ graph. Ensures that a float convolution's input, where it was quantised, is dequantised with the
    same scale and zero point repeated for every channel, in a node that nothing else reads. As a graph it computes
    the same, bit by bit; onnxruntime now does too. Returns how many were guarded."""
    graph = model.graph
    view = View(graph)
    nodes: list[onnx.NodeProto] = []
    changed = 0
    for node in graph.node:
        read = view.writer.get(node.input[0]) if node.op_type == "Conv" and node.input[1] in view.constants else None
        if read is not None and read.op_type == "DequantizeLinear":
            nodes.append(_by_channel(view, read, node))
            changed += 1
        nodes.append(node)
    rebuild(graph, nodes)
    return changed


def _by_channel(view: View, read: onnx.NodeProto, node: onnx.NodeProto) -> onnx.NodeProto:
    """A DequantizeLinear like `read`, for the convolution `node` alone."""
    channels = view.constants[node.input[1]].dims[1] * int(attribute(node, "group", 1))
    name = f"{node.output[0]}_guarded"
    scale, zero = view.constant(read.input[1]), view.constant(read.input[2])
    if scale is None or zero is None:
        raise ValueError(f"{read.name} has a scale that is no constant")
    node.input[0] = name
    inputs = [
        read.input[0],
        put(view.graph, f"{name}_scale", np.repeat(scale.reshape(-1)[:1], channels)),
        put(view.graph, f"{name}_zero", np.repeat(zero.reshape(-1)[:1], channels)),
    ]
    return onnx.helper.make_node("DequantizeLinear", inputs, [name], name=name, axis=1)
