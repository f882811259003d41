"""fp32 ONNX -> static int8 (QDQ): uint8 activations, int8 weights per channel, float after the pooling."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from exporter.graph import check_file, quiet
from runtime.session import INPUT

OPERATORS = ["Add", "AveragePool", "Clip", "Concat", "Conv", "MaxPool", "Relu"]
"""What runs in int8. The head is small and sees one vector: in float it costs nothing and keeps its precision."""


class _Images(CalibrationDataReader):  # type: ignore[misc]
    """Hands network inputs to onnxruntime's calibration, one at a time."""

    def __init__(self, images: Iterable[NDArray[np.float32]]) -> None:
        self._images: Iterator[NDArray[np.float32]] = iter(images)

    def get_next(self) -> dict[str, Any] | None:
        image = next(self._images, None)
        return None if image is None else {INPUT: image}


def simplify(fp32: Path, out: Path) -> None:
    """Fold constants, infer shapes; ensures that every tensor has a shape and every node a name."""
    with quiet():
        quant_pre_process(str(fp32), str(out), skip_symbolic_shape=True)


def quantise(
    simplified: Path, out: Path, images: Iterable[NDArray[np.float32]], *, keep_float: Collection[str] = ()
) -> None:
    """Write the int8 model.

    `images` are network inputs [1, 3, h, w] of the training split, run one by one for the minimum and maximum of every
    tensor (percentiles and entropy were no better: -8.8 and -9.0 dB against -9.0 dB). `keep_float` names nodes left as
    they are. Activations are uint8 because int8 ones run unfused on x86: 12.6 ms instead of 4.9 ms for a ResNet-18. A
    ReLU or ReLU6 vanishes into the range of the preceding convolution's output.
    """
    with quiet():
        quantize_static(
            str(simplified),
            str(out),
            _Images(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=OPERATORS,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=sorted(keep_float),
            calibrate_method=CalibrationMethod.MinMax,
        )
    _forget_unused_domains(out)
    check_file(out)


def _forget_unused_domains(file: Path) -> None:
    """The quantiser declares every operator set that it could have used."""
    model = onnx.load(file)
    used = {node.domain for node in model.graph.node}
    kept = [each for each in model.opset_import if each.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    onnx.save(model, file)


def sensitive_stem(simplified: Path) -> list[str]:
    """Nodes to keep in float: the first convolution and a depthwise one that reads it, with their activations.

    A depthwise kernel has few weights, some of them very large, and amplifies the rounding of the pixels, which no
    later correction can undo (embedding error -22.6 dB -> -24.5 dB for MobileNetV2); in float the pair is not slower
    (1.5 ms instead of 1.6 ms for the whole network). Empty where the second convolution is an ordinary one.
    """
    graph = onnx.load(simplified).graph
    convolutions = [index for index, node in enumerate(graph.node) if node.op_type == "Conv"]
    if len(convolutions) < 3 or _groups(graph.node[convolutions[1]]) == 1:
        return []
    return [node.name for node in graph.node[: convolutions[2]]]


def _groups(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
