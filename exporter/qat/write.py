"""From a network that learned with rounding to the files of each target: one symmetric graph, then passes over it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
from torch import nn

from contracts.errors import BundleError
from exporter.graph import check_file, export_graph, shrink_file
from exporter.passes.four_channels import give_four_channels
from exporter.qat.body import converted
from exporter.qat.passes.absorbed_cuts import absorbed_cuts
from exporter.qat.passes.folded_clips import folded_clips
from exporter.qat.passes.from_zero import from_zero
from exporter.qat.passes.full_range import full_range
from exporter.qat.passes.integer_biases import integer_biases
from exporter.qat.passes.integer_clips import integer_clips
from exporter.qat.passes.scalar_scales import scalar_scales
from exporter.qat.passes.shifted_cuts import shifted_cuts
from exporter.qat.passes.unrounded_branches import unrounded_branches
from exporter.qat.passes.unsigned import unsigned
from exporter.qat.tensorrt_rules import offences
from runtime.session import Signature

SYMMETRIC = "symmetric.onnx"
"""What the graph that learned is called, from which the others are made."""


def write_symmetric(module: nn.Module, signature: Signature, path: Path) -> None:
    """`module` (with `Body` parts that round, in eval mode) as QDQ ONNX: int8 activations and weights of zero point 0,
    float biases. Raises BundleError."""
    export_graph(converted(module, (3, signature.height, signature.width)), signature, path, shrunk=False)
    _rewrite(path, path, scalar_scales, shifted_cuts)


def write_x86(symmetric: Path, path: Path, *, whole_range: bool = False) -> None:
    """The same network for onnxruntime on x86: uint8 activations, int32 biases, nothing left between a convolution or a
    residual addition and its rounding.

    It has the scales that were learned with and answers as the symmetric graph does, but for values above 127 steps and
    half a step of a bias. `whole_range` is another calibration of the same weights: what is never negative uses all 255
    steps for the range that the symmetric graph has 127 for, and no ReLU6 costs anything.
    """
    cuts = (full_range, folded_clips) if whole_range else (integer_clips,)
    _rewrite(symmetric, path, unsigned, from_zero, *cuts, absorbed_cuts, integer_biases, give_four_channels)
    shrink_file(path)


def write_tensorrt(symmetric: Path, path: Path) -> None:
    """The same network for TensorRT: symmetric int8, float biases, a residual addition fused with the convolution
    before it. Raises BundleError, naming the node, where the graph breaks its rules for explicit quantisation."""
    _rewrite(symmetric, path, unrounded_branches, _keep_to_the_rules)


def _keep_to_the_rules(model: onnx.ModelProto) -> None:
    if found := offences(model):
        raise BundleError(f"TensorRT would not run this graph as int8: {'; '.join(map(str, found[:5]))}")


def _rewrite(source: Path, path: Path, *passes: Callable[[onnx.ModelProto], object]) -> None:
    model = onnx.load(source)
    for each in passes:
        each(model)
    for node in model.graph.node:  # where in torch it came from: a tenth of the file of a MobileNetV2
        node.ClearField("metadata_props")
    onnx.save(model, path)
    check_file(path)
