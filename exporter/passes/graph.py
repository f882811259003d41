"""Who writes and who reads a tensor of a graph, and what its constants are."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper


class View:
    """An index over a graph, made anew after a change."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.writer = {name: node for node in graph.node for name in node.output}
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.outputs = {output.name for output in graph.output}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in dict.fromkeys(node.input):
                self._readers.setdefault(name, []).append(node)

    def readers(self, tensor: str) -> list[onnx.NodeProto]:
        """The nodes that read a tensor."""
        return self._readers.get(tensor, [])

    def only_reader(self, tensor: str) -> onnx.NodeProto | None:
        """The node that reads it, where nothing else does and it is no output of the graph."""
        found = self.readers(tensor)
        return found[0] if len(found) == 1 and tensor not in self.outputs else None

    def constant(self, name: str) -> NDArray[np.generic] | None:
        """The value of an initialiser; None for every other tensor."""
        found = self.constants.get(name)
        return None if found is None else numpy_helper.to_array(found)


def attribute(node: onnx.NodeProto, name: str, default: float) -> float:
    """A number among a node's attributes."""
    found = next((each for each in node.attribute if each.name == name), None)
    return default if found is None else float(onnx.helper.get_attribute_value(found))


def put(graph: onnx.GraphProto, name: str, value: NDArray[np.generic]) -> str:
    """Add an initialiser, or give an existing one this value; returns its name."""
    made = numpy_helper.from_array(value, name)
    for tensor in graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(made)
            return name
    graph.initializer.append(made)
    return name


def rebuild(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """These nodes, in this order, are the graph's."""
    kept = list(nodes)
    del graph.node[:]
    graph.node.extend(kept)
