"""The optimizer of a round: what learns, and how fast."""

from __future__ import annotations

import math

import torch
from torch import nn

from trainer.network import Network
from trainer.rounds.lora import adapt, hold_base
from trainer.strategy import Recipe

_WEIGHT_DECAY = 0.05
_FRESH = 0.1  # rate of heads that start from nothing, over the root of their width
_SPREAD = 0.05  # rate of learned weights: there are few, and they have far to go


def learner(model: Network, cut: int, recipe: Recipe, seed: int) -> torch.optim.Optimizer:
    """The optimizer of what the recipe trains: the weights themselves, or adapters that are put on them."""
    if not recipe.rank:
        return optimizer_of(model, cut, recipe)
    adapt(model.stages[cut:], rank=recipe.rank, seed=seed)
    optimizer = optimizer_of(model, cut, recipe)
    hold_base(model.stages[cut:])
    return optimizer


def optimizer_of(network: Network, cut: int, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW over the stages from `cut` on and the heads, a group of parameters for each; all else stays as it is."""
    network.requires_grad_(False)
    for parameter in _trained(network, cut):
        parameter.requires_grad_(True)
    top = recipe.rate_factor * (recipe.rate or 0.01 / math.sqrt(network.head.in_features))
    stages = list(network.stages[cut:])
    groups = []
    for number, stage in enumerate(stages, start=1):
        rate = top * recipe.deepest ** ((len(stages) - number) / max(1, len(stages) - 1))
        groups.append({"params": list(stage.parameters()), "lr": rate})
    groups.append({"params": list(network.head.parameters()), "lr": top * recipe.head})
    if network.heads is not None:
        spread = network.heads.uncertainty
        fresh = [parameter for parameter in network.heads.parameters() if parameter is not spread]
        groups.append({"params": fresh, "lr": _FRESH / math.sqrt(network.head.in_features)})
        groups.append({"params": [spread], "lr": _SPREAD, "weight_decay": 0.0})
    return torch.optim.AdamW(groups, weight_decay=_WEIGHT_DECAY)


def _trained(network: Network, cut: int) -> list[nn.Parameter]:
    body = [parameter for stage in network.stages[cut:] for parameter in stage.parameters()]
    return [*body, *network.head.parameters(), *(network.heads.parameters() if network.heads else ())]
