"""The model: a timm backbone cut into stages (the lower ones stay frozen), pooling, and one linear head; where an image
is looked at in tiles, one answer of them all. Heads for further tasks lie beside the class's where there are any."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from contracts.tasks import Tasks
from trainer.bases.stages import cut, embedding_width
from trainer.device import device_of
from trainer.rounds.heads import Heads
from trainer.views import AS_IT_IS, Flip, flipped

Pooling = Literal["mean", "gem"]
"""Of the last maps over an input: their mean, or the generalised mean with exponent 3, which a small part of the
picture that stands out moves more (Radenović, Tolias & Chum, Fine-tuning CNN Image Retrieval with No Human Annotation,
2018)."""

_NEVER = 1e4  # takes a class out of a maximum
_EXPONENT = 3
_LEAST = 1e-3  # of a map's values under the generalised mean, so that the gradient of its root stays finite


class Network(nn.Module):
    """`forward(x [b * n, 3, h, w]) -> (logits [b, k], embedding [b, d])` for b images of n `inputs` each, all float32.

    The head sees the embedding through the constants `centre` and `scale`, so that its weights are comparable; the
    embedding that is returned is the plain pooled one, the mean over an image's inputs. `good` [k] tells the classes
    that pass; needed where n > 1. With several `looks` the answer is the mean over each of these mirrorings of the
    image, as logits and as embedding. `heads` of further tasks do not change what `forward` answers; `everything` asks
    them too.
    """

    centre: Tensor
    scale: Tensor
    good: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        labels: int,
        *,
        inputs: int = 1,
        good: Sequence[bool] = (),
        looks: tuple[Flip, ...] = AS_IT_IS,
        tasks: Tasks | None = None,
        pooling: Pooling = "mean",
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.pooling = pooling
        self.looks = looks
        self.register_buffer("good", torch.tensor(good), persistent=False)
        self.stages = nn.ModuleList(cut(backbone))
        width = embedding_width(backbone)
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.head = nn.Linear(width, labels)
        self.heads = None if tasks is None else Heads(width, tasks)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.looks == AS_IT_IS:
            return self.answer(x)
        seen = torch.cat([flipped(x, look) for look in self.looks])
        logits, embedding = self.answer(seen)  # [looks * b, ...]
        return self._over_looks(logits), self._over_looks(embedding)

    def answer(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and embedding of the images just as they are."""
        embedding = self.embed(self.run(x, 0, len(self.stages)))
        pooled = embedding if self.inputs == 1 else embedding.view(-1, self.inputs, embedding.shape[1]).mean(1)
        return self.united(self.classify(embedding)), pooled

    def _over_looks(self, values: Tensor) -> Tensor:
        """[looks * b, k] -> [b, k], the mean."""
        return values.view(len(self.looks), -1, values.shape[1]).mean(0)

    def everything(self, x: Tensor) -> tuple[Tensor, ...]:
        """Logits and embedding as `forward` gives them, then, of the tasks that the heads have, severity
        [b, levels - 1], heat [b * n, rows, columns] and distances [b * n, 4, rows, columns]."""
        maps = self.run(x, 0, len(self.stages))
        embedding = self.embed(maps)
        pooled = embedding if self.inputs == 1 else embedding.view(-1, self.inputs, embedding.shape[1]).mean(1)
        logits = self.classify(embedding)
        return self.united(logits), pooled, *self.beside(maps, embedding, logits)

    def beside(self, maps: Tensor, embedding: Tensor, logits: Tensor) -> tuple[Tensor, ...]:
        """Severity, heat and distances, of the tasks that there are, from the last maps [b * n, d, h, w], the
        embedding and the class logits of each input. An image's severity is that of its suspicious inputs."""
        found: list[Tensor] = []
        if self.heads is not None and self.heads.tasks.severity is not None:
            each = self.heads.severity(self.standard(embedding))
            if self.inputs > 1:
                each = (self._each(each) * self._suspicion(self._each(logits)).unsqueeze(2)).sum(1)
            found.append(each)
        if self.heads is not None and self.heads.tasks.location is not None:
            features = (maps - self.centre[:, None, None]) * self.scale[:, None, None]
            found.extend(self.heads.location(features))
        return tuple(found)

    def run(self, x: Tensor, first: int, last: int) -> Tensor:
        """Feature maps after stage `last` - 1, given those that enter stage `first`."""
        for stage in self.stages[first:last]:
            x = stage(x)
        return x

    def embed(self, maps: Tensor) -> Tensor:
        """[b * n, d, h, w] -> [b * n, d], pooled over each input."""
        if self.pooling == "mean":
            return maps.mean((2, 3))
        return maps.clamp(min=_LEAST).pow(_EXPONENT).mean((2, 3)).pow(1 / _EXPONENT)

    def classify(self, embedding: Tensor) -> Tensor:
        """[b * n, d] -> logits [b * n, k] of each input by itself."""
        logits: Tensor = self.head(self.standard(embedding))
        return logits

    def standard(self, embedding: Tensor) -> Tensor:
        """[b * n, d] as the heads see it."""
        return (embedding - self.centre) * self.scale

    def united(self, logits: Tensor) -> Tensor:
        """[b * n, k] -> [b, k]: one answer for all inputs of an image, which is that of the most suspicious one,
        smoothly: their mean, weighted by the softmax of how far the likeliest defect is above the likeliest good class
        (McFee, Salamon & Bello, Adaptive Pooling Operators for Weakly Labeled Sound Event Detection, 2018)."""
        if self.inputs == 1:
            return logits
        each = self._each(logits)
        return (each * self._suspicion(each).unsqueeze(2)).sum(1)

    def _each(self, values: Tensor) -> Tensor:
        """[b * n, k] -> [b, n, k]."""
        return values.view(-1, self.inputs, values.shape[1])

    def _suspicion(self, each: Tensor) -> Tensor:
        """[b, n] shares of the inputs in their image's answer, from class logits [b, n, k]."""
        good = self.good.to(each.device)  # heads are asked on the processor, wherever the network lies
        suspicion = (each - _NEVER * good).amax(2) - (each - _NEVER * ~good).amax(2)
        return suspicion.softmax(1)


class Everything(nn.Module):
    """A network whose forward is `everything`: what is exported where there are heads."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.network.everything(x)


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
            network(batch.to(device_of(network)))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
        layer.eval()
