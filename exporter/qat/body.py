"""A network whose stages became one graph that rounds as the int8 file will: learned in, then converted."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_qat_pt2e

from exporter.graph import quiet
from exporter.qat.quantizer import Int8
from exporter.qat.rounding import ActivationRounding, WeightRounding
from trainer.folding import folded
from trainer.network import Network

_MOST_INPUTS = 65536  # of a batch


class Body(nn.Module):
    """A captured graph as a module among others. It computes in float32 whatever autocast says, since bfloat16 has
    fewer digits than the rounding that is learned; there is nothing in it that differs between training and use."""

    def __init__(self, graph: GraphModule) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        with torch.autocast(x.device.type, enabled=False):
            answer: Tensor | tuple[Tensor, ...] = self.graph(x.float())
        return answer

    def __deepcopy__(self, memo: dict[int, Any]) -> Body:
        with quiet():  # torch warns of its own way of copying graphs
            return Body(copy.deepcopy(self.graph, memo))

    def train(self, mode: bool = True) -> Self:
        """Of this module alone: captured graphs refuse to be switched."""
        self.training = mode
        return self


def rounding(stages: Sequence[nn.Module], shape: tuple[int, int, int], *, float_stem: bool = False) -> Body:
    """The stages (in eval mode) as one graph for inputs [b, *shape], with BatchNorm folded into the convolutions and
    every rounding of the int8 graph in it (see `Int8`, also for `float_stem`).

    BatchNorm is folded before and not learned beside: the int8 graph has none, and statistics of a few hundred steps
    would be worse than those of the whole training. Raises torch's errors where the stages cannot be captured.
    """
    float_stages = folded(stages, (1, *shape), widen=False).requires_grad_(True)
    batch = torch.export.Dim("batch", min=1, max=_MOST_INPUTS)
    with quiet():
        program = torch.export.export(float_stages, (torch.zeros(2, *shape),), dynamic_shapes=({0: batch},))
        return Body(prepare_qat_pt2e(program.module(), Int8(float_stem=float_stem)))


def rounding_network(network: Network, shape: tuple[int, int, int], *, float_stem: bool) -> Network:
    """A copy of the network with `rounding` stages; pooling and heads stay float, as in the int8 file."""
    made = copy.deepcopy(network)
    made.stages = nn.ModuleList([rounding(list(made.stages), shape, float_stem=float_stem)])
    return made.eval()


def settle(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Fix the scales of the activations: the largest magnitude that the batches [b, 3, h, w] bring about, in float."""
    roundings = [each for each in module.modules() if isinstance(each, ActivationRounding)]
    switch(module, off=True)
    for each in roundings:
        each.watching = True
    with torch.inference_mode():
        for batch in batches:
            module(batch)
    for each in roundings:
        each.watching = False
    switch(module, off=False)


def switch(module: nn.Module, *, off: bool) -> None:
    """Round, or answer as the float network does."""
    for each in module.modules():
        if isinstance(each, ActivationRounding | WeightRounding):
            each.off = off


def converted(module: nn.Module, shape: tuple[int, int, int]) -> nn.Module:
    """A copy with int8 weights and quantise and dequantise operators in place of the rounding: what is exported. Equal
    to what it is made of, to the bit."""
    made = copy.deepcopy(module)
    for parent in list(made.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Body):
                with torch.inference_mode():
                    child(torch.zeros(1, *shape))  # the scales of the weights as they are now
                with quiet():
                    setattr(parent, name, Body(convert_pt2e(child.graph)))
    return made.requires_grad_(False)
