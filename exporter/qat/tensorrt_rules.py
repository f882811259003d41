"""TensorRT's rules for explicit quantisation, checked on a graph without TensorRT.

The first rules decide whether its ONNX parser takes the file at all (symmetric int8: "zeroPt must be all zeros",
NVIDIA/TensorRT issue 2774; no int32 biases: onnx/onnx-tensorrt issue 850), the others whether layers fuse (NVIDIA's
documentation, "Explicit Quantization": TensorRT processing of Q/DQ networks, Q/DQ layer-placement recommendations).
What passes here has still to run on a device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import NodeProto

from exporter.passes.graph import attribute
from exporter.qat.passes.wiring import DEQUANTIZE, QUANTIZE, Wiring

_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True)
class Offence:
    """A node that breaks a rule, and which."""

    node: str
    rule: str

    def __str__(self) -> str:
        return f"{self.node}: {self.rule}"


def offences(model: onnx.ModelProto) -> list[Offence]:
    """Every node that breaks a rule, in the order of the graph; empty where TensorRT can be expected to fuse all."""
    wiring = Wiring(model)
    return [Offence(node.name, said) for node in model.graph.node for rule in _RULES for said in rule(node, wiring)]


def _symmetric(node: NodeProto, wiring: Wiring) -> Iterator[str]:
    if node.op_type not in (QUANTIZE, DEQUANTIZE):
        return
    if len(node.input) < 3 or node.input[2] not in wiring.constants:
        yield "its zero point must be a constant of type int8, all zeros"
        return
    zero = wiring.value(node.input[2])
    if zero.dtype == np.int32:
        yield "int32 is not dequantised: keep the bias in float"
    elif zero.dtype != np.int8 or np.any(zero):
        yield f"quantisation must be symmetric int8 with zero point 0, not {zero.dtype} with {zero.reshape(-1)[0]}"


def _scaled(node: NodeProto, wiring: Wiring) -> Iterator[str]:
    if node.op_type not in (QUANTIZE, DEQUANTIZE):
        return
    if node.input[1] not in wiring.constants:
        yield "its scale must be a constant"
        return
    scale = wiring.value(node.input[1])
    if not np.all(np.isfinite(scale)) or np.any(scale <= 0):
        yield "its scales must be positive and finite"
    if node.input[0] not in wiring.constants and scale.size != 1:
        yield "an activation has one scale, not one a channel"


def _weights(node: NodeProto, wiring: Wiring) -> Iterator[str]:
    weight = wiring.before(node, 1) if node.op_type in ("Conv", "ConvTranspose") else None
    if weight is None or weight.op_type != DEQUANTIZE or weight.input[1] not in wiring.constants:
        return
    wanted, axis = 0 if node.op_type == "Conv" else 1, int(attribute(weight, "axis", 1))
    if wiring.value(weight.input[1]).size > 1 and axis != wanted:
        yield f"scales of its weights run along axis {axis}; output channels are axis {wanted}"


def _whole(node: NodeProto, wiring: Wiring) -> Iterator[str]:
    if node.op_type not in _WEIGHTED or not (places := [place for place in (0, 1) if _reads_int8(node, place, wiring)]):
        return
    if len(places) < 2:
        yield f"quantise all inputs of a weighted operation: {node.input[1 - places[0]]} is float"


def _pairs(node: NodeProto, wiring: Wiring) -> Iterator[str]:
    if node.op_type == QUANTIZE:
        for reader in wiring.readers(node.output[0]):
            if reader.op_type != DEQUANTIZE:
                yield f"{reader.name} reads its int8 numbers; only DequantizeLinear may"


def _activation(node: NodeProto, wiring: Wiring) -> Iterator[str]:
    """Curves have no kernel that the convolution fuses with in int8 anyway; ReLU and its like are lost by it."""
    if node.op_type in ("Relu", "Clip") and _rounded_convolution(node, 0, wiring):
        yield "a convolution is rounded before its activation, which keeps both from being one kernel"


def _residual(node: NodeProto, wiring: Wiring) -> Iterator[str]:
    if node.op_type != "Add":
        return
    rounded = [_rounded_convolution(node, place, wiring) for place in (0, 1)]
    sums = [_is(wiring.before(node, place), "Conv") for place in (0, 1)]
    if any(rounded) and not any(sums):
        yield "both inputs are rounded: hand over the convolution's sum as it is (see unrounded_branches)"
    if any(sums) and not all(sums) and not _reads_int8(node, sums.index(False), wiring):
        yield "the residual input of a skip connection must be quantised"
    if all(sums):
        yield "two convolutions are added in float: quantise one of the two"


def _rounded_convolution(node: NodeProto, place: int, wiring: Wiring) -> bool:
    """Whether an input is a convolution's answer that was rounded on the way, and read by nobody else."""
    reading = wiring.before(node, place)
    rounding = wiring.before(reading) if _is(reading, DEQUANTIZE) and reading is not None else None
    if rounding is None or rounding.op_type != QUANTIZE or wiring.only_reader(rounding.output[0]) is None:
        return False
    return _is(wiring.before(rounding), "Conv")


def _reads_int8(node: NodeProto, place: int, wiring: Wiring) -> bool:
    return _is(wiring.before(node, place), DEQUANTIZE)


def _is(node: NodeProto | None, operator: str) -> bool:
    return node is not None and node.op_type == operator


_RULES: tuple[Callable[[NodeProto, Wiring], Iterator[str]], ...] = (
    _symmetric, _scaled, _weights, _whole, _pairs, _activation, _residual,
)  # fmt: skip
