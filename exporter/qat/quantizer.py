"""Where numbers are rounded while a network learns: torchao's annotations, so that every convolution and residual
addition of the exported graph runs as int8 in onnxruntime.

Each tensor between two operators is rounded once, at the operator that makes it, and everyone who reads it reads the
rounded one. A convolution and the ReLU or ReLU6 behind it count as one operator, and so do a residual addition and its
ReLU. What a ReLU6 leaves has all 255 steps of int8 where only convolutions without padding read it (with padding,
a zero of the border has to be a zero of int8). Where another function follows (hard-swish, hard-sigmoid), the
convolution's own answer is rounded too, since onnxruntime runs these functions in float. What pooling by maximum picks
keeps the steps it had.

A stem that stays in float (`sensitive_stem`) is rounded where something behind it reads it, and nowhere before.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import torch
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e.quantizer import (
    QuantizationAnnotation,
    QuantizationSpec,
    QuantizationSpecBase,
    Quantizer,
    SharedQuantizationSpec,
)

from exporter.qat.rounding import ActivationRounding, CutRounding, WeightRounding

_aten = torch.ops.aten
_PADDING, _GROUPS = 4, 6  # places among the arguments of a convolution
CONVOLUTIONS = (_aten.conv2d.default, _aten.conv2d.padding, _aten.convolution.default)
ENDING_CUTS = (
    _aten.relu6.default, _aten.relu6_.default, _aten.hardtanh.default, _aten.hardtanh_.default,
)  # fmt: skip
CUTS = (_aten.relu.default, _aten.relu_.default, *ENDING_CUTS)
"""Activations that vanish into the range of what they follow."""
CURVES = (
    _aten.hardswish.default, _aten.hardswish_.default, _aten.hardsigmoid.default, _aten.hardsigmoid_.default,
    _aten.silu.default, _aten.silu_.default, _aten.sigmoid.default,
)  # fmt: skip
MEETINGS = (_aten.add.Tensor, _aten.add_.Tensor, _aten.mul.Tensor, _aten.mul_.Tensor)
MOVES = (_aten.max_pool2d.default,)
"""Take some of the numbers as they are: rounded in the steps of what they read."""
PADDINGS = (_aten.pad.default, _aten.constant_pad_nd.default)
MEANS = (_aten.mean.dim, _aten.adaptive_avg_pool2d.default, _aten.avg_pool2d.default)


def activations() -> QuantizationSpec:
    """Symmetric int8, one scale a tensor."""
    return QuantizationSpec(
        dtype=torch.int8, observer_or_fake_quant_ctr=ActivationRounding, quant_min=-128, quant_max=127,
        qscheme=torch.per_tensor_symmetric,
    )  # fmt: skip


def cut_activations() -> QuantizationSpec:
    """int8 counted from -128, one scale a tensor."""
    return QuantizationSpec(
        dtype=torch.int8, observer_or_fake_quant_ctr=CutRounding, quant_min=-128, quant_max=127,
        qscheme=torch.per_tensor_affine,
    )  # fmt: skip


def weights() -> QuantizationSpec:
    """Symmetric int8, a scale for each output channel; 127 on both sides, so that no weight is the odd -128."""
    return QuantizationSpec(
        dtype=torch.int8, observer_or_fake_quant_ctr=WeightRounding, quant_min=-127, quant_max=127,
        qscheme=torch.per_channel_symmetric, ch_axis=0,
    )  # fmt: skip


class Int8(Quantizer):  # type: ignore[misc]
    """Annotates a graph of aten operators whose BatchNorms are folded: all of it, but for a sensitive stem where
    `float_stem` says so."""

    def __init__(self, *, float_stem: bool) -> None:
        super().__init__()
        self.float_stem = float_stem

    def annotate(self, model: GraphModule) -> GraphModule:
        """Write what is rounded where into the nodes' metadata."""
        act, weight = activations(), weights()
        stem = sensitive_stem(model) if self.float_stem else frozenset()
        for node in model.graph.nodes:
            if node in stem:
                continue
            inputs: dict[Node, Any] = {
                each: act for each in node.all_input_nodes if each in stem and _is_read_rounded(each)
            }
            if node.target in CONVOLUTIONS:
                inputs[node.args[1]] = weight
            if node.target in (*CONVOLUTIONS, *PADDINGS) and node.args[0].op == "placeholder":
                inputs[node.args[0]] = act
            output: QuantizationSpecBase | None = act if _is_rounded(node) else None
            if output is not None and _fills_int8(node):
                output = cut_activations()
            if node.target in MOVES and _is_rounded(node.args[0]):
                output = SharedQuantizationSpec((node.args[0], node) if node.args[0] in stem else node.args[0])
            if inputs or output:
                node.meta["quantization_annotation"] = QuantizationAnnotation(
                    input_qspec_map=inputs, output_qspec=output, _annotated=True
                )
        return model

    def validate(self, model: GraphModule) -> None:
        """Nothing to refuse: what has no rule stays float."""


def sensitive_stem(model: GraphModule) -> Collection[Node]:
    """Everything before the third convolution where the second is a depthwise one; else nothing. The layers that
    `exporter.quantise.sensitive_stem`, which says why, finds in a file of the same network."""
    nodes = list(model.graph.nodes)
    places = [place for place, node in enumerate(nodes) if node.target in CONVOLUTIONS]
    return frozenset(nodes[: places[2]]) if len(places) > 2 and _groups(nodes[places[1]]) > 1 else frozenset()


def _groups(convolution: Node) -> Any:
    place = _GROUPS + 2 if convolution.target == _aten.convolution.default else _GROUPS  # two more of transposed ones
    return convolution.args[place] if len(convolution.args) > place else 1


def _is_rounded(node: Node) -> bool:
    """Whether the node's answer is a tensor that others read rounded."""
    if node.op != "call_function":
        return False
    if node.target in (*CONVOLUTIONS, *MEETINGS):
        return not _cut_follows(node)
    if node.target in CUTS:
        return True
    return node.target in CURVES or (node.target in MEANS and _reaches_convolution(node))


def _fills_int8(node: Node) -> bool:
    """Whether it is the ReLU6 of a convolution, and read by convolutions without padding alone."""
    if node.target not in ENDING_CUTS or not _starts_at_zero(node):
        return False
    before = node.all_input_nodes[0]
    if before.target not in CONVOLUTIONS or len(before.users) > 1:
        return False
    return all(user.target in CONVOLUTIONS and not _pads(user, node) for user in node.users)


def _starts_at_zero(cut: Node) -> bool:
    low: Any = cut.args[1] if len(cut.args) > 1 else -1
    return cut.target in (_aten.relu6.default, _aten.relu6_.default) or bool(low == 0)


def _pads(convolution: Node, image: Node) -> bool:
    """Whether it puts something around that image, or reads it as its weights."""
    said: Any = convolution.args[_PADDING] if len(convolution.args) > _PADDING else 0
    padded = said != "valid" if isinstance(said, str) else bool(np.any(said))
    return padded or convolution.args[0] is not image


def _is_read_rounded(node: Node) -> bool:
    moved = node.all_input_nodes[0] if node.target in MOVES else None
    return _is_rounded(node) or (moved is not None and _is_rounded(moved))


def _reaches_convolution(node: Node) -> bool:
    """Whether the mean is used inside the network (squeeze-excite); the last one, the embedding, stays float."""
    return any(user.target in CONVOLUTIONS or _reaches_convolution(user) for user in node.users)


def _cut_follows(node: Node) -> bool:
    users = list(node.users)
    return len(users) == 1 and users[0].target in CUTS
