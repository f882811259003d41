"""The model: a timm backbone cut into stages (the lower ones stay frozen), pooling, and one linear head."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from contracts.errors import ConfigurationError


class Network(nn.Module):
    """`forward(x [b, 3, h, w]) -> (logits [b, k], embedding [b, d])`, all float32.

    The head sees the embedding through the constants `centre` and `scale`, so that its weights are comparable; the
    embedding that is returned is the plain pooled one.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, backbone: nn.Module, labels: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(cut(backbone))
        width = embedding_width(backbone)
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.head = nn.Linear(width, labels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.embed(self.run(x, 0, len(self.stages)))
        return self.classify(embedding), embedding

    def run(self, x: Tensor, first: int, last: int) -> Tensor:
        """Feature maps after stage `last` - 1, given those that enter stage `first`."""
        for stage in self.stages[first:last]:
            x = stage(x)
        return x

    def embed(self, maps: Tensor) -> Tensor:
        """[b, d, h, w] -> [b, d], the mean over the image."""
        return maps.mean((2, 3))

    def classify(self, embedding: Tensor) -> Tensor:
        """[b, d] -> logits [b, k]."""
        logits: Tensor = self.head((embedding - self.centre) * self.scale)
        return logits


def settle_statistics(network: Network, batches: Iterable[Tensor]) -> None:
    """BatchNorm's averages taken anew from these inputs [b, 3, h, w] (Li et al., Revisiting Batch Normalization for
    Practical Domain Adaptation, 2016): a head that is fitted then sees what training on batches will show it."""
    layers = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean over all batches
        layer.train()
    with torch.no_grad():
        for batch in batches:
            network(batch)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
        layer.eval()


def embedding_width(backbone: Any) -> int:
    """Number of features that a timm module answers with."""
    return int(backbone.num_features)


def cut(backbone: Any) -> list[nn.Module]:
    """The timm backbone as a list of stages in order. Raises ConfigurationError for a family without a rule here."""
    if hasattr(backbone, "conv_stem") and hasattr(backbone, "bn2"):  # MobileNet, EfficientNet
        stem = nn.Sequential(backbone.conv_stem, backbone.bn1)
        top = nn.Sequential(backbone.conv_head, backbone.bn2)
        return [stem, *(block for stage in backbone.blocks for block in stage), top]
    if hasattr(backbone, "layer1") and hasattr(backbone, "conv1"):  # ResNet
        stem = nn.Sequential(backbone.conv1, backbone.bn1, backbone.act1, backbone.maxpool)
        layers = (backbone.layer1, backbone.layer2, backbone.layer3, backbone.layer4)
        return [stem, *(block for layer in layers for block in layer)]
    raise ConfigurationError(
        f"{type(backbone).__name__} cannot be cut into stages; use a MobileNet, EfficientNet or ResNet of timm"
    )
