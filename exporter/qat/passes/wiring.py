"""A view of an ONNX graph that rounds: where it rounds, what stands before it, constants that passes add."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper

from exporter.passes.graph import View
from exporter.passes.shrunk import drop_unread

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


class Wiring(View):
    """Of `model`, true until nodes are added or removed; constants may be added through it."""

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__(model.graph)

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


def forget_unused(model: onnx.ModelProto) -> None:
    """Remove constants that nobody reads, and what is said of the shapes and types of tensors that changed."""
    drop_unread(model.graph)
    del model.graph.value_info[:]
