"""What a network answers to held-out images, and what it loses there."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from trainer.device import device_of
from trainer.maps import Maps
from trainer.network import Network
from trainer.rounds.heads import losses_beside
from trainer.rounds.kept import Check
from trainer.rounds.lesson import Lesson
from trainer.tasks import CLASS
from trainer.threshold import best_temperature


def answers(network: Network, maps: Maps, cut: int) -> Tensor:
    """Logits [n, k] of the images as they are."""
    if not len(maps):
        return torch.empty(0, network.head.out_features)
    with torch.inference_mode():
        parts = [
            network.united(
                network.classify(
                    network.embed(network.run(maps.rows(rows).plain().to(device_of(network)), cut, len(network.stages)))
                )
            )
            for rows in torch.split(torch.arange(len(maps)), max(1, 64 // network.inputs))
        ]
    return torch.cat(parts).cpu().clone()


def check_of(network: Network, held_out: Lesson, cut: int, step: int, loss: float, pace: float = 1.0) -> Check:
    """The state of a training after so many steps, at the mean `loss` of those since the last check."""
    logits = answers(network, held_out.features.maps, cut)
    if not len(held_out):
        return Check(step, loss, math.inf, logits, pace)
    _, held_out_loss = best_temperature(logits, held_out.targets, held_out.weights)
    if held_out.tasks is None:
        return Check(step, loss, held_out_loss, logits, pace)
    beside, pull = _answers_beside(network, held_out, cut), held_out.tasks.pull or {}
    held_out_loss *= pull.get(CLASS, 1.0)
    held_out_loss += sum(pull.get(name, 1.0) * float(each.mean()) for name, each in beside.items())
    return Check(step, loss, held_out_loss, logits, pace, beside)


def _answers_beside(network: Network, held_out: Lesson, cut: int) -> dict[str, Tensor]:
    """Losses [n] by further task, of the images as they are."""
    parts: list[dict[str, Tensor]] = []
    still = torch.eye(2, 3)
    with torch.inference_mode():
        for rows in torch.split(torch.arange(len(held_out)), max(1, 64 // network.inputs)):
            part = held_out.rows(rows)
            last = network.run(part.features.maps.plain().to(device_of(network)), cut, len(network.stages))
            embedding = network.embed(last)
            said = network.beside(last, embedding, network.classify(embedding))
            if part.tasks is not None and network.heads is not None:
                parts.append(losses_beside(network.heads, said, part.tasks, still.expand(len(last), 2, 3)))
    return {name: torch.cat([part[name] for part in parts]).clone() for name in parts[0]} if parts else {}
