"""ReduceMean before a convolution -> GlobalAveragePool, which onnxruntime has in int8 (ReduceMean it has not)."""

from __future__ import annotations

import numpy as np
import onnx

from exporter.passes.graph import View, attribute


def pool_before_convolutions(model: onnx.ModelProto) -> int:
    """Requires nothing. Ensures that no mean over height and width that keeps them as 1 and is read by convolutions
    alone is a ReduceMean (squeeze-and-excite, MobileNetV3's head); outputs differ by the order of a sum. A mean that
    ends in the head stays, in float. Returns how many were changed."""
    view = View(model.graph)
    changed = 0
    for node in model.graph.node:
        readers = view.readers(node.output[0])
        if node.op_type != "ReduceMean" or not _over_the_picture(view, node):
            continue
        if readers and all(each.op_type == "Conv" for each in readers) and node.output[0] not in view.outputs:
            node.op_type = "GlobalAveragePool"
            del node.input[1:]
            del node.attribute[:]
            changed += 1
    return changed


def _over_the_picture(view: View, node: onnx.NodeProto) -> bool:
    axes = view.constant(node.input[1]) if len(node.input) > 1 else None
    if axes is None or attribute(node, "keepdims", 1) != 1:
        return False
    return set(np.mod(axes.astype(np.int64), 4).tolist()) == {2, 3}
