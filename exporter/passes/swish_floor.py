"""A hard-swish is 0 wherever its input is below -3: eight bits need not tell those inputs apart."""

from __future__ import annotations

import numpy as np
import onnx

from exporter.passes.graph import View, attribute, put, rebuild


def floor_hard_swishes(model: onnx.ModelProto) -> int:
    """Requires hard-swish written as x * HardSigmoid(x), x read by nothing else and written by a convolution (others
    are left alone). Ensures that x is limited from below where HardSigmoid becomes 0, by a Clip that vanishes into the
    range of the convolution's output. Outputs are the same, bit by bit (-0 may become 0). Returns how many."""
    graph = model.graph
    view = View(graph)
    nodes: list[onnx.NodeProto] = []
    changed = 0
    for node in graph.node:
        nodes.append(node)
        swish = _hard_swish(view, node.output[0]) if node.op_type == "Conv" else None
        if swish is None:
            continue
        gate, product = swish
        slope, offset = attribute(gate, "alpha", 0.2), attribute(gate, "beta", 0.5)
        floored = f"{node.output[0]}_floored"
        low = put(graph, f"{floored}_low", np.array(-offset / slope, np.float32))
        nodes.append(onnx.helper.make_node("Clip", [node.output[0], low], [floored], name=floored))
        for reader in (gate, product):
            for place, name in enumerate(reader.input):
                if name == node.output[0]:
                    reader.input[place] = floored
        changed += 1
    rebuild(graph, nodes)
    return changed


def _hard_swish(view: View, tensor: str) -> tuple[onnx.NodeProto, onnx.NodeProto] | None:
    """The HardSigmoid and the product that make it of `tensor`, where nothing else reads it."""
    readers = {node.op_type: node for node in view.readers(tensor)}
    gate, product = readers.get("HardSigmoid"), readers.get("Mul")
    if len(view.readers(tensor)) != 2 or gate is None or product is None or tensor in view.outputs:
        return None
    return (gate, product) if set(product.input) == {tensor, gate.output[0]} else None
