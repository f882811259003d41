"""How numbers are rounded while a network learns: symmetric int8, straight-through gradients (Jacob et al.,
"Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018).

torchao's own fake quantisation computes a scale in one way while it trains and in another when it converts; these say
the same at both times, to the last bit.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchao.quantization.pt2e import FakeQuantizeBase

STEPS = 127  # from zero to the largest number
_SMALLEST = 1e-8  # a scale: of what was never anything but zero
_FAINTEST = 2.0**-12  # of a layer's largest scale: fainter channels say nothing, and their biases outgrow 32 bits


class ActivationRounding(FakeQuantizeBase):  # type: ignore[misc]
    """One scale a tensor, which is the largest magnitude `watching` has seen over 127; fixed afterwards."""

    scale: Tensor
    steps, zero = STEPS, 0

    def __init__(self, *, dtype: torch.dtype, qscheme: torch.qscheme, **_: Any) -> None:
        super().__init__()
        self.dtype, self.qscheme, self.is_dynamic = dtype, qscheme, False
        self.quant_min, self.quant_max = -STEPS - 1, STEPS
        self.watching = self.off = False
        self.register_buffer("scale", torch.tensor(_SMALLEST))

    def forward(self, x: Tensor) -> Tensor:
        """`x` rounded to whole steps, or `x` itself where the rounding is off."""
        if self.watching:
            self.scale.copy_(torch.maximum(self.scale, x.detach().abs().max() / self.steps))
        if self.off:
            return x
        return torch.fake_quantize_per_tensor_affine(x, float(self.scale), self.zero, self.quant_min, self.quant_max)

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """Scale and zero point [1] each, for the conversion."""
        return self.scale.view(1), torch.full((1,), self.zero, dtype=torch.int64)


class CutRounding(ActivationRounding):
    """Of what ReLU6 made, which is never negative: 255 steps from zero to the largest number, counted from -128. What
    lies outside is cut off by the ends of int8 where ReLU6 cuts it off."""

    steps, zero = 2 * STEPS + 1, -STEPS - 1


class WeightRounding(FakeQuantizeBase):  # type: ignore[misc]
    """A scale for each output channel, so that its largest weight is 127 steps (faint channels have fewer); it follows
    the weights."""

    scale: Tensor

    def __init__(self, *, dtype: torch.dtype, qscheme: torch.qscheme, quant_min: int, quant_max: int, **_: Any) -> None:
        super().__init__()
        self.dtype, self.qscheme, self.is_dynamic, self.ch_axis = dtype, qscheme, False, 0
        self.quant_min, self.quant_max = quant_min, quant_max
        self.off = False
        self.register_buffer("scale", torch.ones(1))

    def forward(self, weight: Tensor) -> Tensor:
        """[channels, ...] rounded to whole steps of each channel's scale, or as it is where the rounding is off."""
        if self.off:
            return weight
        scale = weight.detach().abs().flatten(1).amax(1) / STEPS
        self.scale = torch.maximum(scale, scale.max() * _FAINTEST).clamp_min(_SMALLEST)
        zero = torch.zeros_like(self.scale, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(
            weight, self.scale, zero, self.ch_axis, self.quant_min, self.quant_max
        )

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """Scales and zero points [channels] of the weights that were seen last."""
        return self.scale, torch.zeros_like(self.scale, dtype=torch.int64)
