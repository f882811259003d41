"""fp32 ONNX -> static int8 (QDQ): uint8 activations, int8 weights per channel, float after the pooling."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.quant_utils import load_model_with_shape_infer
from onnxruntime.quantization.shape_inference import quant_pre_process

from exporter.graph import check_file, quiet
from exporter.passes.four_channels import give_four_channels
from exporter.passes.gates import fold_hard_sigmoids
from exporter.passes.graph import View, attribute
from exporter.passes.guarded import guard_float_convolutions
from exporter.passes.hard_sigmoid import add_for_hard_sigmoids
from exporter.passes.pooling import pool_before_convolutions
from exporter.passes.shrunk import drop_unread
from exporter.passes.swish_floor import floor_hard_swishes
from exporter.ranges import Calibrator, Ranges, observe, ranges

OPERATORS = (
    "Add",
    "AveragePool",
    "Clip",
    "Concat",
    "Conv",
    "GlobalAveragePool",
    "HardSigmoid",
    "MaxPool",
    "Mul",
    "Relu",
)
"""What runs in int8. The head is small and sees one vector: in float it costs nothing and keeps its precision."""


def simplify(fp32: Path, out: Path) -> None:
    """Fold constants, infer shapes and write squeeze-and-excite and hard-swish as int8 needs them; ensures that every
    tensor has a shape and every node a name."""
    with quiet():
        quant_pre_process(str(fp32), str(out), skip_symbolic_shape=True)
    model = onnx.load(out)
    changed = pool_before_convolutions(model) + fold_hard_sigmoids(model) + floor_hard_swishes(model)
    if changed:
        drop_unread(model.graph)
        onnx.save(onnx.shape_inference.infer_shapes(model), out)
    check_file(out)


def quantise(
    simplified: Path,
    out: Path,
    images: Iterable[NDArray[np.float32]],
    *,
    keep_float: Collection[str] = (),
    calibrator: Calibrator = "minmax",
    weight_bits: int = 8,
) -> None:
    """Write the int8 model. `images` are network inputs [1, 3, h, w] of the training split, run one by one."""
    observed = observe(simplified, list(images), OPERATORS)
    write_int8(simplified, out, ranges(observed, calibrator), keep_float=keep_float, weight_bits=weight_bits)


def write_int8(
    simplified: Path, out: Path, reached: Ranges, *, keep_float: Collection[str] = (), weight_bits: int = 8
) -> None:
    """Write the int8 model whose activations cover the ranges `reached`; `keep_float` names nodes left as they are.
    Weights of 7 bits lie within -64..64 (see `runtime.narrow`).

    Activations are uint8 because int8 ones run unfused on x86: 12.6 ms instead of 4.9 ms for a ResNet-18. A ReLU, ReLU6
    or other Clip vanishes into the range of the preceding convolution's output.
    """
    model = load_model_with_shape_infer(simplified)
    excluded = {*keep_float, *_products_of_the_head(model.graph)}
    told = {name: TensorData(lowest=np.float32(low), highest=np.float32(high)) for name, (low, high) in reached.items()}
    with quiet():
        quantiser = QDQQuantizer(
            model,
            per_channel=True,
            reduce_range=weight_bits == 7,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=TensorsData(CalibrationMethod.MinMax, told),
            nodes_to_quantize=[],
            nodes_to_exclude=sorted(excluded),
            op_types_to_quantize=list(OPERATORS),
            extra_options={},
        )
        quantiser.quantize_model()
    quantiser.model.topological_sort()
    model = quantiser.model.model
    add_for_hard_sigmoids(model)
    guard_float_convolutions(model)
    give_four_channels(model)
    _forget_unused_domains(model)
    drop_unread(model.graph)
    onnx.save(model, out)
    check_file(out)


def _products_of_the_head(graph: onnx.GraphProto) -> list[str]:
    """Products that are neither a hard-swish nor a squeeze-and-excite: those of the heads, which stay float."""
    view = View(graph)
    products = [node for node in graph.node if node.op_type == "Mul"]
    gated = {"Clip", "HardSigmoid"}
    return [
        node.name for node in products if not gated & {view.writer[x].op_type for x in node.input if x in view.writer}
    ]


def _forget_unused_domains(model: onnx.ModelProto) -> None:
    """The quantiser declares every operator set that it could have used."""
    used = {node.domain for node in model.graph.node}
    kept = [each for each in model.opset_import if each.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def sensitive_stem(simplified: Path) -> list[str]:
    """Nodes to keep in float: the first convolution and a depthwise one that reads it, with their activations.

    A depthwise kernel has few weights, some of them very large, and amplifies the rounding of the pixels, which no
    later correction can undo (embedding error -22.6 dB -> -24.5 dB for MobileNetV2); in float the pair is not slower
    (1.5 ms instead of 1.6 ms for the whole network). Empty where the second convolution is an ordinary one.
    """
    graph = onnx.load(simplified).graph
    convolutions = [index for index, node in enumerate(graph.node) if node.op_type == "Conv"]
    if len(convolutions) < 3 or attribute(graph.node[convolutions[1]], "group", 1) == 1:
        return []
    return [node.name for node in graph.node[: convolutions[2]]]
