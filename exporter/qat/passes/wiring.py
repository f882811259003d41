"""Who writes and who reads the tensors of an ONNX graph, and its constants by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


class Wiring:
    """A view of `model`, true until nodes are added or removed; constants may be added through it."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        self.writer = {name: node for node in self.graph.node for name in node.output}
        self.readers: dict[str, list[NodeProto]] = {}
        for node in self.graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.constants = {tensor.name: tensor for tensor in self.graph.initializer}
        self.outputs = {item.name for item in self.graph.output}

    def value(self, name: str) -> NDArray[Any]:
        """A constant's value. Raises KeyError where the tensor is computed."""
        return numpy_helper.to_array(self.constants[name])

    def keep(self, name: str, value: NDArray[Any]) -> str:
        """Have a constant of this name (the first one of that name stays), and answer the name."""
        if name not in self.constants:
            tensor = numpy_helper.from_array(np.asarray(value, order="C"), name)
            self.graph.initializer.append(tensor)
            self.constants[name] = self.graph.initializer[-1]
        return name

    def rounded(self) -> list[NodeProto]:
        """The QuantizeLinear nodes of what is computed, in order."""
        return [node for node in self.graph.node if node.op_type == QUANTIZE and node.input[0] not in self.constants]

    def before(self, node: NodeProto, place: int = 0) -> NodeProto | None:
        """The node that writes an input; None for constants and the graph's input."""
        return self.writer.get(node.input[place]) if place < len(node.input) else None

    def alone(self, name: str) -> NodeProto | None:
        """The only reader of a tensor that is no output of the graph, or None."""
        found = self.readers.get(name, [])
        return found[0] if len(found) == 1 and name not in self.outputs else None


def forget_unused(model: onnx.ModelProto) -> None:
    """Remove constants that nobody reads, and what is said of the shapes and types of tensors that changed."""
    read = {name for node in model.graph.node for name in node.input} | {item.name for item in model.graph.output}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    del model.graph.value_info[:]


def attribute(node: NodeProto, name: str, default: Any) -> Any:
    """An attribute's value, or the default where the node does not say it."""
    return next((onnx.helper.get_attribute_value(each) for each in node.attribute if each.name == name), default)
