"""Which layer does eight bits hurt most? Each alone in int8, the others in float.

One at a time against the float model is the sounder way round: errors add up, so that the part of one layer, left in
float among fifty in int8, is a small difference of two large numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from exporter.passes.graph import View, put, rebuild
from exporter.ranges import Ranges
from runtime.session import INPUT, LOGITS

LARGEST = {8: 127, 7: 64}
"""Magnitude of a weight, by bits."""
_ACTIVATIONS = frozenset({"Clip", "HardSigmoid", "Relu"})
Image = NDArray[np.float32]


@dataclass(frozen=True)
class Layer:
    """A convolution with the activation after it. `share` of the multiplications, `error` of the logits when it alone
    is quantised."""

    name: str
    nodes: tuple[str, ...]
    share: float
    error: float


def logit_error(mine: Image, theirs: Image) -> float:
    """Root mean square difference of logits [n, k] beside a constant shift, as a share of how much `theirs` vary.

    >>> logit_error(np.array([[1.0], [3.0]]), np.array([[0.0], [2.0]]))
    0.0
    """
    difference = mine - theirs
    noise, signal = (float(np.square(each - each.mean(axis=0)).mean()) for each in (difference, theirs))
    return float(np.sqrt(noise / max(signal, 1e-12)))


def logits(model: bytes, images: Iterable[Image]) -> Image:
    """[n, k] of a model file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run([LOGITS], {INPUT: image})[0] for image in images])


def sensitivity(simplified: Path, reached: Ranges, images: Iterable[Image], *, weight_bits: int = 8) -> list[Layer]:
    """Every convolution, in order. `reached` are the ranges of the activations."""
    graph = onnx.load(simplified)
    cost = shares(graph.graph)
    goal = logits(graph.SerializeToString(), images)
    view = View(graph.graph)
    found = []
    for node in graph.graph.node:
        if node.op_type == "Conv":
            follower = view.only_reader(node.output[0])
            nodes = [node] if follower is None or follower.op_type not in _ACTIVATIONS else [node, follower]
            names = tuple(each.name for each in nodes)
            alone = _quantised_alone(graph, names, reached, LARGEST[weight_bits]).SerializeToString()
            found.append(Layer(node.name, names, cost[node.name], logit_error(logits(alone, images), goal)))
    return found


def shares(graph: onnx.GraphProto) -> dict[str, float]:
    """Of the multiplications, by name of the convolution. Requires the shape of every tensor."""
    shapes = {item.name: _shape(item) for item in [*graph.value_info, *graph.output]}
    weights = {tensor.name: tensor.dims for tensor in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    cost = {n.name: math.prod(shapes[n.output[0]]) * math.prod(weights[n.input[1]][1:]) for n in convolutions}
    total = max(1, sum(cost.values()))
    return {name: each / total for name, each in cost.items()}


def called(graph: onnx.GraphProto) -> dict[str, str]:
    """What people know a convolution by, its weight's name in the network, by name of its node (which is a number)."""
    return {node.name: node.input[1].removesuffix(".weight") for node in graph.node if node.op_type == "Conv"}


def _shape(item: onnx.ValueInfoProto) -> list[int]:
    return [dimension.dim_value for dimension in item.type.tensor_type.shape.dim]


def _quantised_alone(graph: onnx.ModelProto, names: Sequence[str], reached: Ranges, largest: int) -> onnx.ModelProto:
    """A copy whose nodes of these names, a convolution and what follows it, stand between quantised tensors."""
    made = onnx.ModelProto()
    made.CopyFrom(graph)
    nodes: list[onnx.NodeProto] = []
    for node in made.graph.node:
        if node.name == names[0]:
            nodes += _rounded(made.graph, node.input[0], f"{node.name}_in", reached[node.input[0]])
            nodes.append(_rounded_weight(made.graph, node, largest))
            node.input[0] = f"{node.name}_in"
        nodes.append(node)
        if node.name == names[-1]:
            output, inner = node.output[0], f"{node.name}_out"
            node.output[0] = inner
            nodes += _rounded(made.graph, inner, output, reached[output])
    rebuild(made.graph, nodes)
    return made


def _rounded(graph: onnx.GraphProto, tensor: str, out: str, ends: tuple[float, float]) -> list[onnx.NodeProto]:
    """`tensor` through uint8 and back, as `out`."""
    low, high = min(ends[0], 0.0), max(ends[1], 0.0)
    step = max((high - low) / 255, 1e-12)
    scale = put(graph, f"{out}_scale", np.array(step, np.float32))
    zero = put(graph, f"{out}_zero", np.array(np.clip(np.rint(-low / step), 0, 255), np.uint8))
    return [
        onnx.helper.make_node("QuantizeLinear", [tensor, scale, zero], [f"{out}_steps"]),
        onnx.helper.make_node("DequantizeLinear", [f"{out}_steps", scale, zero], [out]),
    ]


def _rounded_weight(graph: onnx.GraphProto, node: onnx.NodeProto, largest: int) -> onnx.NodeProto:
    """The convolution then reads its weights from int8, up to `largest`, with a scale for each channel."""
    weight = View(graph).constant(node.input[1])
    if weight is None:
        raise ValueError(f"{node.name} has weights that are no constants")
    step = np.maximum(np.abs(weight).max(axis=(1, 2, 3)) / largest, 1e-12).astype(np.float32)  # [m]
    steps = np.rint(weight / step[:, None, None, None]).astype(np.int8)
    name = f"{node.name}_weight"
    inputs = [put(graph, f"{name}_steps", steps), put(graph, f"{name}_scale", step)]
    node.input[1] = name
    return onnx.helper.make_node("DequantizeLinear", inputs, [name], axis=0)
