"""What the frozen stem answers for every view of every image, computed once and kept on disk for the next training."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from contracts.bundle import Preprocessing
from trainer.dataset import Example
from trainer.image import as_input, load_images
from trainer.network import Network
from trainer.progress import Progress, silent
from trainer.views import View, look

_BATCH = 16
_TAIL_SHARE = 0.37  # of the multiplications: MobileNetV2's last five blocks, two of the four of the shipped network
_KEEP_BYTES = 500_000_000


@dataclass(frozen=True)
class Features:
    """`maps` [n, v, c, h, w] float16 enter the tail, `embeddings` [n, v, d] float32 come out of the untrained one."""

    maps: Tensor
    embeddings: Tensor

    def rows(self, index: Tensor) -> Features:
        """Those of some images."""
        return Features(self.maps[index], self.embeddings[index])


@dataclass(frozen=True)
class Stem:
    """The frozen part of a network: stages before `cut`. `base` (the weights' hash) and `spec` key the cache."""

    network: Network
    cut: int
    spec: Preprocessing
    base: str
    folder: Path | None = None

    def features(
        self, examples: Sequence[Example], looks: Sequence[View], *, progress: Progress = silent, begin: float = 0.0,
        end: float = 0.0,
    ) -> Features:  # fmt: skip
        """Of every example under every view. What is not in the cache is computed and put there."""
        maps: list[Tensor] = []
        if not examples:
            return self._none(len(looks))
        for start in range(0, len(examples), _BATCH):
            maps.extend(self._batch(examples[start : start + _BATCH], looks))
            done = min(1.0, (start + _BATCH) / len(examples))
            progress("features", begin + (end - begin) * done, f"{len(maps)} of {len(examples)} images")
        stacked = torch.stack(maps)
        return Features(stacked, self._embed(stacked))

    def _none(self, looks: int) -> Features:
        shape = self.network.run(torch.zeros(1, 3, self.spec.height, self.spec.width), 0, self.cut).shape[1:]
        maps = torch.empty(0, looks, *shape, dtype=torch.float16)
        return Features(maps, torch.empty(0, looks, self.network.head.in_features))

    def _batch(self, examples: Sequence[Example], looks: Sequence[View]) -> list[Tensor]:
        """[v, c, h, w] float16 of each example."""
        known = [self._recall(example, looks) for example in examples]
        missing = [example for example, maps in zip(examples, known, strict=True) if maps is None]
        fresh = iter(self._compute(missing, looks)) if missing else iter(())
        return [next(fresh) if maps is None else maps for maps in known]

    def _compute(self, examples: Sequence[Example], looks: Sequence[View]) -> list[Tensor]:
        images = load_images(examples, self.spec)
        seeds = [int(example.sha256[:12], 16) for example in examples]
        with torch.inference_mode():
            seen = [
                self.network.run(as_input(look(images, view, seeds), self.spec), 0, self.cut).half() for view in looks
            ]
        found = list(torch.stack(seen, dim=1).clone())  # [v, c, h, w] each
        for example, maps in zip(examples, found, strict=True):
            self._keep(example, looks, maps)
        return found

    def _embed(self, maps: Tensor) -> Tensor:
        """[n, v, d] float32 of maps [n, v, c, h, w]."""
        flat = maps.flatten(0, 1)
        with torch.inference_mode():
            parts = [
                self.network.embed(self.network.run(entering(batch), self.cut, len(self.network.stages)))
                for batch in torch.split(flat, 64)
            ]
        return torch.cat(parts).clone().view(*maps.shape[:2], -1)

    def _path(self, example: Example, looks: Sequence[View]) -> Path | None:
        if self.folder is None:
            return None
        key = repr((self.base, self.cut, self.spec.model_dump_json(), list(looks), example.sha256))
        name = hashlib.sha256(key.encode()).hexdigest()
        return self.folder / name[:2] / f"{name}.safetensors"

    def _recall(self, example: Example, looks: Sequence[View]) -> Tensor | None:
        path = self._path(example, looks)
        try:
            return None if path is None else load_file(path)["maps"]
        except (OSError, SafetensorError):
            return None

    def _keep(self, example: Example, looks: Sequence[View], maps: Tensor) -> None:
        path = self._path(example, looks)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file({"maps": maps.contiguous()}, path)


def entering(maps: Tensor) -> Tensor:
    """Cached maps [b, c, h, w] float16 as the tail takes them."""
    return maps.float().contiguous(memory_format=torch.channels_last)


def tail_start(network: Network, spec: Preprocessing) -> int:
    """The first stage to fine-tune: the top ones that together take at most 37 % of the network's multiplications."""
    counts = multiplications(network, spec)
    cut = len(counts)
    while cut > 1 and sum(counts[cut - 1 :]) <= _TAIL_SHARE * sum(counts):
        cut -= 1
    return cut if cut < len(counts) else len(counts) - 1


def multiplications(network: Network, spec: Preprocessing) -> list[int]:
    """Of the convolutions of each stage, for one image."""
    counts: list[int] = []

    def count(module: nn.Module, _: object, answer: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            counts[-1] += answer[0].numel() * module.weight[0].numel()

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    maps = torch.zeros(1, 3, spec.height, spec.width)
    with torch.inference_mode():
        for stage in network.stages:
            counts.append(0)
            maps = stage(maps)
    for hook in hooks:
        hook.remove()
    return counts
