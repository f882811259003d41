"""What rounding adds to a channel on average is taken out of its bias, before anything is learned.

The systematic part of the int8 error is a constant for each channel, and learning it away step by step would take most
of a short training: the empirical bias correction of Nagel et al., "Data-Free Quantization Through Weight Equalization
and Bias Correction" (ICCV 2019), here on what a convolution answers before its activation.
`exporter/bias_correction.py` does the same to a file.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Interpreter, Node

from exporter.qat.body import Body, switch
from exporter.qat.quantizer import CONVOLUTIONS

_BIAS = 2  # place among the arguments of a convolution


def centre(module: nn.Module, batch: Tensor) -> None:
    """Change the biases of every `Body` in `module` so that on `batch` [b, 3, h, w] each convolution answers, in the
    mean of each channel, as it does without rounding. One convolution after the other, each as the corrected ones
    before it make it; the ranges have to be settled. A convolution without a bias stays."""
    for body in [each for each in module.modules() if isinstance(each, Body)]:
        switch(body, off=True)
        wanted = channel_means(body, batch)
        switch(body, off=False)
        with torch.no_grad():
            _Centring(body.graph, wanted).run(batch)


def channel_means(body: Body, batch: Tensor) -> dict[str, Tensor]:
    """By convolution: the mean [channels] of what it answers to `batch` [b, 3, h, w]."""
    recording = _Means(body.graph)
    with torch.no_grad():
        recording.run(batch)
    return recording.found


class _Means(Interpreter):
    """Runs a graph and keeps the mean of each channel of each convolution's answer."""

    def __init__(self, graph: GraphModule) -> None:
        super().__init__(graph)
        self.found: dict[str, Tensor] = {}

    def run_node(self, n: Node) -> Any:
        answer = super().run_node(n)
        if n.target in CONVOLUTIONS:
            self.found[n.name] = answer.mean((0, 2, 3))
        return answer


class _Centring(Interpreter):
    """Runs a graph and moves each convolution's bias, and with it what the next nodes see, to the wanted means."""

    def __init__(self, graph: GraphModule, wanted: dict[str, Tensor]) -> None:
        super().__init__(graph)
        self.wanted = wanted

    def run_node(self, n: Node) -> Any:
        answer = super().run_node(n)
        bias = n.args[_BIAS] if n.target in CONVOLUTIONS and len(n.args) > _BIAS else None
        if not isinstance(bias, Node):
            return answer
        shift = self.wanted[n.name] - answer.mean((0, 2, 3))
        self.env[bias].add_(shift)  # the parameter itself
        return answer + shift[:, None, None]
