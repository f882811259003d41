"""The five timm networks whose convolutions have to run in int8."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from runtime.session import Signature
from trainer.bases.backbone import BaseModel, load_base_model

BACKBONES = ("resnet18", "mobilenetv2_100", "mobilenetv3_small_100", "efficientnet_lite0", "regnetx_002")
SIDE, LABELS = 224, 2


class Classifier(nn.Module):
    """x [b, 3, 224, 224] -> (logits [b, 2], embedding [b, d]), with every layer that timm has before its classifier."""

    def __init__(self, backbone: nn.Module, width: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(width, LABELS)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        embedding: Tensor = _embed(self.backbone, x)
        return self.head(embedding), embedding


def classifier(architecture: str) -> tuple[nn.Module, Signature]:
    """The network in eval mode with random weights and statistics of random images: latency needs no more."""
    backbone, _ = load_base_model(BaseModel(id=architecture, architecture=architecture))
    _settle(backbone)
    with torch.inference_mode():
        width = _embed(backbone, torch.zeros(1, 3, SIDE, SIDE)).shape[1]
    signature = Signature(labels=LABELS, height=SIDE, width=SIDE, embedding_width=width)
    return Classifier(backbone, width).eval(), signature


def noise(count: int, *, seed: int = 0) -> Iterator[NDArray[np.float32]]:
    """Random network inputs [1, 3, 224, 224]."""
    chance = np.random.default_rng(seed)
    for _ in range(count):
        yield chance.standard_normal((1, 3, SIDE, SIDE)).astype(np.float32)


def _embed(backbone: nn.Module, x: Tensor) -> Tensor:
    found: Tensor = backbone.forward_head(backbone.forward_features(x), pre_logits=True)  # type: ignore[operator]
    return found


def _settle(backbone: nn.Module) -> None:
    """Without it the activations of random weights vanish or explode with the depth, and the last layer of a residual
    branch is all zeros."""
    backbone.train()
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            module.momentum = None  # the mean over all batches
    with torch.no_grad():
        backbone(torch.from_numpy(np.concatenate(list(noise(8, seed=1)))))
    backbone.eval()
