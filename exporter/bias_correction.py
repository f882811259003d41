"""Take the systematic part out of the int8 error: shift each convolution's bias until its mean output is the float one.

Rounding errors of flat, similar pictures do not average out; layer by layer they push whole channels to one side.
Correcting the layers in order, each measured after the ones before it were corrected, is the empirical bias correction
of Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (ICCV 2019), appendix D, on
outputs after the activation. ImageNet MobileNetV2 on 180 ELPV images: embedding error -9 dB -> -22 dB, same most
probable class on 71 % -> 95 %. All layers at once makes it worse, and so do groups of three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

from exporter.graph import check_file
from runtime.session import INPUT, LOGITS

_LEAST_ACTIVE = 0.05
_LARGEST_GAIN = 3.0

Image = NDArray[np.float32]


@dataclass(frozen=True)
class _Layer:
    """A quantised convolution: the tensor to compare, under its name in both graphs, and its int32 bias."""

    tensor: str
    dequantised: str
    bias: str
    scale: str


def correct_biases(simplified: Path, int8: Path, images: Sequence[Image]) -> bool:
    """Rewrite the biases of `int8`, which was made from `simplified`, in place; False when that would not help.

    `images` [1, 3, h, w] of the training split. The logits on those images decide: where they do not come closer to
    the float ones, the file stays as it was.
    """
    float_graph, before, after = onnx.load(simplified), onnx.load(int8), onnx.load(int8)
    layers = _layers(after, {name for node in float_graph.graph.node for name in node.output})
    if not layers:  # a network whose convolutions have no biases
        return False
    wanted = _float_statistics(float_graph, layers, images)
    biases = {tensor.name: tensor for tensor in after.graph.initializer}
    for layer, (mean, active) in zip(layers, wanted, strict=True):
        error = _mean(after, layer.dequantised, images) - mean  # [channels]
        shift = np.where(active >= _LEAST_ACTIVE, error * np.minimum(1.0 / np.maximum(active, 1e-9), _LARGEST_GAIN), 0)
        _shift(biases[layer.bias], numpy_helper.to_array(biases[layer.scale]), shift)
    goal = _outputs(float_graph, LOGITS, images)
    if _distance(_outputs(after, LOGITS, images), goal) >= _distance(_outputs(before, LOGITS, images), goal):
        return False
    onnx.save(after, int8)
    check_file(int8)
    return True


def _layers(int8: onnx.ModelProto, float_tensors: set[str]) -> list[_Layer]:
    """The quantised convolutions with a bias, in the order in which they run.

    Where the quantiser removed a ReLU or ReLU6, the convolution writes the tensor that the activation wrote before, so
    one name means the same in both graphs.
    """
    producer = {node.output[0]: node for node in int8.graph.node}
    consumer = {node.input[0]: node for node in int8.graph.node}
    layers = []
    for node in int8.graph.node:
        if node.op_type != "Conv" or len(node.input) < 3 or node.output[0] not in float_tensors:
            continue
        bias, written = producer.get(node.input[2]), consumer.get(node.output[0])
        read = consumer.get(written.output[0]) if written is not None else None
        if bias is not None and written is not None and written.op_type == "QuantizeLinear" and read is not None:
            layers.append(_Layer(node.output[0], read.output[0], bias.input[0], bias.input[1]))
    return layers


def _float_statistics(
    graph: onnx.ModelProto, layers: Sequence[_Layer], images: Sequence[Image]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """By layer: mean of every channel, and the share of its values that lie off the ends of an activation's range
    (only those follow a shift of the bias)."""
    session = _session(graph, [layer.tensor for layer in layers])
    sums: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    for image in images:
        rows = [(_channel_mean(value), _channel_mean(_inside(value))) for value in session.run(None, {INPUT: image})]
        sums = rows if not sums else [(a + c, b + d) for (a, b), (c, d) in zip(sums, rows, strict=True)]
    return [(mean / len(images), active / len(images)) for mean, active in sums]


def _inside(value: NDArray[np.float32]) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (value > value.min()) & (value < value.max())
    return inside


def _channel_mean(value: NDArray[np.float32] | NDArray[np.bool_]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = value.mean(axis=(0, 2, 3), dtype=np.float64)
    return mean


def _mean(graph: onnx.ModelProto, tensor: str, images: Sequence[Image]) -> NDArray[np.float64]:
    session = _session(graph, [tensor])
    mean: NDArray[np.float64] = np.mean([_channel_mean(session.run(None, {INPUT: each})[0]) for each in images], axis=0)
    return mean


def _shift(bias: onnx.TensorProto, scale: NDArray[np.float32], shift: NDArray[np.float64]) -> None:
    """bias [channels] int32, whose unit is `scale`, minus `shift` in real units."""
    steps = np.rint(shift / np.maximum(scale.astype(np.float64), 1e-30))
    limits = np.iinfo(np.int32)
    corrected = np.clip(numpy_helper.to_array(bias).astype(np.float64) - steps, limits.min, limits.max)
    bias.CopyFrom(numpy_helper.from_array(corrected.astype(np.int32), bias.name))


def _outputs(graph: onnx.ModelProto, tensor: str, images: Sequence[Image]) -> NDArray[np.float32]:
    session = _session(graph, [tensor])
    return np.concatenate([session.run(None, {INPUT: image})[0] for image in images])


def _distance(answers: NDArray[np.float32], goal: NDArray[np.float32]) -> float:
    return float(np.square(answers - goal).mean())


def _session(graph: onnx.ModelProto, tensors: Sequence[str]) -> onnxruntime.InferenceSession:
    """A session that runs no further than these tensors."""
    cut = onnx.ModelProto()
    cut.CopyFrom(graph)
    del cut.graph.output[:]
    cut.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in tensors)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(cut.SerializeToString(), options, providers=["CPUExecutionProvider"])
