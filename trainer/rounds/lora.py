"""Low-rank adapters: the pointwise layers learn a correction of low rank, every other weight stays as pretrained.

LoRA (Hu et al., ICLR 2022, section 4.1): a frozen weight W [out, in] answers as W + B A with A [r, in] drawn at random
and B [out, r] zero at first, so that training begins at the pretrained network. Here the sum is formed before each
convolution: what is trained is the merged weight itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from contracts.errors import ConfigurationError


class LowRank(nn.Module):
    """`weight [out, in, ...] -> weight + b @ a`, both factors float32 whatever the convolution computes with."""

    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        outputs, inputs = weight.shape[:2]
        rank = min(rank, outputs, inputs)
        bound = 1 / math.sqrt(inputs)
        self.a = nn.Parameter(torch.empty(rank, inputs).uniform_(-bound, bound, generator=generator))
        self.b = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):
            return weight + (self.b @ self.a).view_as(weight)


def adapt(stages: nn.ModuleList, *, rank: int, seed: int) -> None:
    """Give every pointwise layer of these stages an adapter. Raises ConfigurationError where there is none."""
    layers = list(pointwise(stages))
    if not layers:
        raise ConfigurationError("the base model has no 1x1 convolution for --strategy lora; use --strategy full")
    generator = torch.Generator().manual_seed(seed)
    for layer in layers:
        adapter = LowRank(layer.weight, rank, generator).to(layer.weight.device)
        parametrize.register_parametrization(layer, "weight", adapter)


def hold_base(stages: nn.ModuleList) -> None:
    """From now on nothing in these stages learns but the adapters."""
    stages.requires_grad_(False)
    for module in stages.modules():
        if isinstance(module, LowRank):
            module.requires_grad_(True)


def pointwise(stages: nn.Module) -> Iterator[nn.Conv2d | nn.Linear]:
    """The 1x1 convolutions and the linear layers, whose weights are matrices."""
    for module in stages.modules():
        if isinstance(module, nn.Conv2d) and (module.kernel_size != (1, 1) or module.groups != 1):
            continue
        if isinstance(module, nn.Conv2d | nn.Linear):
            yield module
