"""Convolution, HardSigmoid -> a scaled convolution and a Clip to 0..1, which vanishes into the range of its output."""

from __future__ import annotations

import numpy as np
import onnx

from exporter.passes.graph import View, attribute, put


def fold_hard_sigmoids(model: onnx.ModelProto) -> int:
    """Requires weights as initialisers that only their convolution reads, and biases (others are left alone).
    Ensures that no HardSigmoid is the one reader of such a convolution: with slope a and offset b, weights w become
    a w and biases c become a c + b. Outputs differ by float rounding. Returns how many were folded."""
    graph = model.graph
    view = View(graph)
    changed = 0
    for node in graph.node:
        reader = view.only_reader(node.output[0])
        if node.op_type != "Conv" or reader is None or reader.op_type != "HardSigmoid" or not _own(view, node):
            continue
        slope, offset = attribute(reader, "alpha", 0.2), attribute(reader, "beta", 0.5)
        weight = view.constant(node.input[1])
        bias = view.constant(node.input[2]) if len(node.input) > 2 else np.zeros(1)
        if weight is None or bias is None:
            continue
        bias = np.broadcast_to(slope * bias.astype(np.float64) + offset, weight.shape[:1])
        put(graph, node.input[1], (slope * weight.astype(np.float64)).astype(np.float32))
        added = put(graph, f"{node.input[1]}_offset", bias.astype(np.float32))
        del node.input[2:]
        node.input.append(added)
        low = put(graph, "gate_low", np.array(0, np.float32))
        high = put(graph, "gate_high", np.array(1, np.float32))
        reader.op_type = "Clip"
        reader.input.extend([low, high])
        del reader.attribute[:]
        changed += 1
    return changed


def _own(view: View, node: onnx.NodeProto) -> bool:
    return len(view.readers(node.input[1])) == 1
