"""The average of the weights over the steps of a schedule (Polyak & Juditsky, 1992), a network of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from trainer.network import Network


def followed(averaged: Network, model: Network, cut: int) -> list[tuple[Tensor, nn.Module, str]]:
    """What is averaged, and the layer and name under which its latest value is read: the weights of the stages from
    `cut` on and of the head (an adapter's merged into its layer's), and the statistics of BatchNorm layers."""
    return list(_pairs(averaged, model, cut))


def _pairs(averaged: Network, model: Network, cut: int) -> Iterator[tuple[Tensor, nn.Module, str]]:
    for name, tensor in averaged.state_dict(keep_vars=True).items():
        part, _, rest = name.partition(".")
        trained = part in ("head", "heads") or (part == "stages" and int(rest.partition(".")[0]) >= cut)
        if trained and tensor.is_floating_point():
            layer, _, attribute = name.rpartition(".")
            yield tensor, model.get_submodule(layer), attribute


def follow(pairs: Iterable[tuple[Tensor, nn.Module, str]], memory: float) -> None:
    """Each average moves by 1 - memory towards the latest value."""
    with torch.no_grad():
        for average, layer, name in pairs:
            average.lerp_(getattr(layer, name), 1 - memory)
