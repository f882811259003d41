"""A timm backbone as stages in order: the lower ones stay frozen, the upper ones learn (see `trainer.network`)."""

from __future__ import annotations

from typing import Any

from torch import nn

from contracts.errors import ConfigurationError


def cut(backbone: Any) -> list[nn.Module]:
    """The stages, which in turn answer with maps [b, embedding_width, h, w].

    MobileNetV3's convolution behind the pooling is left out: it sees no picture any more, and was learned for the
    classes of the pretraining. Raises ConfigurationError for a family without a rule here.
    """
    if hasattr(backbone, "conv_stem") and hasattr(backbone, "bn2"):  # MobileNetV2, EfficientNet and its Lite versions
        return [_stem(backbone), *_blocks(*backbone.blocks), nn.Sequential(backbone.conv_head, backbone.bn2)]
    if hasattr(backbone, "conv_stem") and hasattr(backbone, "norm_head"):  # MobileNetV3
        return [_stem(backbone), *_blocks(*backbone.blocks)]
    if hasattr(backbone, "layer1") and hasattr(backbone, "conv1"):  # ResNet
        stem = nn.Sequential(backbone.conv1, backbone.bn1, backbone.act1, backbone.maxpool)
        return [stem, *_blocks(backbone.layer1, backbone.layer2, backbone.layer3, backbone.layer4)]
    if hasattr(backbone, "s1") and hasattr(backbone, "final_conv"):  # RegNet
        top = [] if isinstance(backbone.final_conv, nn.Identity) else [backbone.final_conv]
        stages = (backbone.s1, backbone.s2, backbone.s3, backbone.s4)
        return [backbone.stem, *_blocks(*(stage.children() for stage in stages)), *top]
    raise ConfigurationError(
        f"{type(backbone).__name__} cannot be cut into stages; use a MobileNet, EfficientNet, ResNet or RegNet of timm"
    )


def embedding_width(backbone: Any) -> int:
    """Number of maps that the last stage answers with."""
    return int(backbone.num_features)


def _stem(backbone: Any) -> nn.Module:
    return nn.Sequential(backbone.conv_stem, backbone.bn1)


def _blocks(*stages: Any) -> list[nn.Module]:
    return [block for stage in stages for block in stage]
