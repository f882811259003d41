"""What a step lowers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainer.device import device_of, precision
from trainer.evidence import cross_entropy
from trainer.network import Network
from trainer.rounds import ranks
from trainer.rounds.heads import losses_beside
from trainer.rounds.lesson import Lesson
from trainer.tasks import CLASS

_DROPOUT = 0.2


def loss_of(network: Network, lesson: Lesson, cut: int) -> Tensor:
    """Of one look at each image, drawn now: of the image's answer, of those of its tiles whose state is known, and of
    the tasks beside the class."""
    device = device_of(network)
    if lesson.tasks is None:
        drawn, moves = lesson.features.maps.drawn(), None  # [b * t, c, h, w]
    else:
        drawn, moves = lesson.features.maps.moved()
    noise = nn.functional.dropout(torch.ones(len(drawn), network.head.in_features), _DROPOUT)
    images = ranks.share(len(lesson))
    inputs = slice(images.start * network.inputs, images.stop * network.inputs)
    maps = drawn[inputs].to(device)
    with precision(device, whole=cut == 0):
        last = network.run(maps, cut, len(network.stages))
        embedding = network.embed(last).float()
    embedding = (embedding - network.centre) * noise[inputs].to(device) + network.centre
    logits = network.classify(embedding)  # [b * t, k]
    targets, weights = lesson.targets[images].to(device), lesson.weights[images].to(device)
    loss = (cross_entropy(network.united(logits), targets) * weights).sum() / len(lesson)
    if lesson.tiles is not None:
        targets = lesson.tiles.targets[images].flatten(0, 1).to(device)
        weights = lesson.tiles.weights[images].flatten().to(device)
        loss = loss + (cross_entropy(logits, targets) * weights).sum() / len(drawn)
    if lesson.tasks is None or network.heads is None or moves is None:
        return loss
    answered = network.beside(last.float(), embedding, logits)
    mine = torch.arange(len(lesson))[images]
    beside = losses_beside(network.heads, answered, lesson.tasks.rows(mine), moves[inputs])
    each = {name: losses.sum() / len(lesson) for name, losses in beside.items()}
    return network.heads.united({CLASS: loss, **each}, lesson.tasks.pull, share=len(mine) / len(lesson))
