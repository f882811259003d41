"""Base models ranked for a site's images, before any training."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from contracts.preprocessing import Preprocessing
from trainer.bases.backbone import BaseModel, load_base_model
from trainer.bases.transferability import domain_distance, logme
from trainer.dataset import Example
from trainer.device import CPU, placed
from trainer.image import load_inputs
from trainer.network import Network

_MOST_IMAGES = 400
_BATCH = 16


@dataclass(frozen=True)
class Ranked:
    """`evidence` (LogME) of the pretrained weights and of random ones of the same architecture; `distance` of the
    images from the weights' home, in standard deviations (None without BatchNorm)."""

    base: BaseModel
    evidence: float
    evidence_random: float
    distance: float | None

    @property
    def helps(self) -> bool:
        """Whether the pretrained features explain the labels better than random ones; else they may do harm."""
        return self.evidence > self.evidence_random


def rank(
    bases: Sequence[BaseModel],
    examples: Sequence[Example],
    *,
    seed: int = 0,
    device: torch.device = CPU,
    tick: Callable[[float, str], None] = lambda *_: None,
) -> tuple[Ranked, ...]:
    """The best first, on at most 400 images of at least two classes, the same for every base model."""
    chosen = random.Random(seed).sample(list(examples), min(len(examples), _MOST_IMAGES))
    found = []
    for number, base in enumerate(bases):
        tick(number / len(bases), base.id)
        evidence, distance = _judge(base, chosen, seed, device)
        without, _ = _judge(base.model_copy(update={"weights": None}), chosen, seed, device)
        found.append(Ranked(base, evidence, without, distance))
    return tuple(sorted(found, key=lambda item: -item.evidence))


def _judge(base: BaseModel, examples: Sequence[Example], seed: int, device: torch.device) -> tuple[float, float | None]:
    network = Network(load_base_model(base, seed=seed)[0], 2).eval()
    placed(network, device)
    spec = Preprocessing(width=base.width, height=base.height, mean=base.mean, std=base.std)
    embeddings: list[Tensor] = []
    parts = [examples[start : start + _BATCH] for start in range(0, len(examples), _BATCH)]
    hook = network.head.register_forward_pre_hook(
        lambda _, inputs: embeddings.append(inputs[0].cpu())
    )  # centre 0, scale 1
    distance = domain_distance(network, (load_inputs(part, spec) for part in parts))
    hook.remove()
    names = sorted({example.label for example in examples})
    classes = np.array([names.index(example.label) for example in examples])
    return logme(torch.cat(embeddings).double().numpy(), classes), distance
