"""The frozen part of a network: what it answers for every image and view, computed once and kept on disk for the next
training; the pixels themselves where nothing is frozen."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from contracts.preprocessing import Preprocessing
from trainer.dataset import Example
from trainer.device import device_of
from trainer.features import Features
from trainer.folding import folded
from trainer.grafts import Donors, Grafts
from trainer.image import as_input, load_images
from trainer.jitter import USUAL, Jitter
from trainer.maps import Cached, Pixels, entering
from trainer.marks import shown_defects
from trainer.network import Network
from trainer.progress import Progress, silent
from trainer.views import Flip, View, look

_BATCH = 16
_FORMAT = 3  # of the files of the cache
_TAIL_SHARE = 0.37  # of the multiplications: MobileNetV2's last five blocks, two of the four of the shipped network


@dataclass(frozen=True)
class _Seen:
    """One image under v views: `maps` [v, t, c, h, w] float16, `embeddings` [v, t, d] float32."""

    maps: Tensor
    embeddings: Tensor


@dataclass(frozen=True)
class Stem:
    """The frozen part of a network: stages before `cut`, none where it is 0. `base` (the weights' hash), `spec` and
    `jitter` key the cache."""

    network: Network
    cut: int
    spec: Preprocessing
    base: str
    folder: Path | None = None
    jitter: Jitter = USUAL

    def features(
        self, examples: Sequence[Example], looks: Sequence[View], *, flips: tuple[Flip, ...] = ("",),
        donors: Donors | None = None, progress: Progress = silent, begin: float = 0.0, end: float = 0.0,
    ) -> Features:  # fmt: skip
        """Of every example under every view, grafted among the `donors` where views say so. What is not in the cache is
        computed and put there. Where nothing is frozen there are no maps to keep: the pixels are drawn later with any
        of the `flips`."""
        if self.cut == 0:
            return self._pixels(examples, looks, flips, donors)
        seen: list[_Seen] = []
        if not examples:
            return self._none(len(looks))
        batch = max(1, _BATCH // self.spec.inputs)
        for start in range(0, len(examples), batch):
            seen.extend(self._batch(examples[start : start + batch], looks, donors))
            done = min(1.0, (start + batch) / len(examples))
            progress("features", begin + (end - begin) * done, f"{len(seen)} of {len(examples)} images")
        maps, embeddings = torch.stack([each.maps for each in seen]), torch.stack([each.embeddings for each in seen])
        seeds = seeds_of(examples, self.spec)
        known = Cached(maps, tuple(looks), seeds, self.jitter, self.spec.width / self.spec.height)
        return Features(known, embeddings, shown_defects(examples, self.spec))

    def _pixels(
        self, examples: Sequence[Example], looks: Sequence[View], flips: tuple[Flip, ...], donors: Donors | None
    ) -> Features:
        images, seeds = load_images(examples, self.spec), seeds_of(examples, self.spec).flatten().tolist()
        seen = [self._embed_pixels(images.flatten(0, 1), seeds, view) for view in looks]
        shape = len(images), self.spec.inputs, len(looks), self.network.head.in_features
        embeddings = torch.stack(seen, dim=1).view(shape).transpose(1, 2)
        grafts = Grafts.of(examples, self.spec, donors.good) if donors else None
        return Features(
            Pixels(images, self.spec, flips, grafts, self.jitter), embeddings, shown_defects(examples, self.spec)
        )

    @cached_property
    def _stages(self) -> nn.Sequential:
        """The frozen stages in their faster form."""
        return folded(list(self.network.stages[: self.cut]), (1, 3, self.spec.height, self.spec.width))

    def _none(self, looks: int) -> Features:
        blank = torch.zeros(1, 3, self.spec.height, self.spec.width, device=device_of(self.network))
        shape = self.network.run(blank, 0, self.cut).shape[1:]
        inputs = self.spec.inputs
        maps = torch.empty(0, looks, inputs, *shape, dtype=torch.float16)
        embeddings = torch.empty(0, looks, inputs, self.network.head.in_features)
        nothing = Cached(maps, (View(0),) * looks, torch.empty(0, inputs, dtype=torch.int64))
        return Features(nothing, embeddings, torch.empty(0, inputs))

    def _batch(self, examples: Sequence[Example], looks: Sequence[View], donors: Donors | None) -> list[_Seen]:
        known = [self._recall(self._path(example, looks, donors)) for example in examples]
        missing = [example for example, seen in zip(examples, known, strict=True) if seen is None]
        fresh = iter(self._compute(missing, looks, donors)) if missing else iter(())
        return [next(fresh) if seen is None else seen for seen in known]

    def _compute(self, examples: Sequence[Example], looks: Sequence[View], donors: Donors | None) -> list[_Seen]:
        images, seeds = load_images(examples, self.spec), seeds_of(examples, self.spec).flatten().tolist()
        with torch.inference_mode():
            shown = (donors.grafted(examples, images, v.number) if donors and v.graft else images for v in looks)
            looked = (
                as_input(look(each.flatten(0, 1), view, seeds, self.jitter), self.spec)
                for each, view in zip(shown, looks, strict=True)
            )
            seen = [self._stages(inputs.to(device_of(self.network))).half().cpu() for inputs in looked]
        maps = torch.stack(seen)  # [v, b * t, c, h, w]
        embeddings = self._embed(maps.flatten(0, 1)).view(*maps.shape[:2], -1)
        shape = len(looks), len(examples), self.spec.inputs
        parts = (values.view(*shape, *values.shape[2:]).transpose(0, 1).clone() for values in (maps, embeddings))
        found = [_Seen(*both) for both in zip(*parts, strict=True)]
        for example, each in zip(examples, found, strict=True):
            self._keep(self._path(example, looks, donors), each)
        return found

    def _embed_pixels(self, images: Tensor, seeds: list[int], view: View) -> Tensor:
        """[n, d] of inputs [n, 3, h, w] uint8 under a view; few at a time become float32 inputs."""
        parts = [torch.empty(0, self.network.head.in_features)]
        for start in range(0, len(images), _BATCH):
            seen = look(images[start : start + _BATCH], view, seeds[start : start + _BATCH], self.jitter)
            parts.append(self._embed(as_input(seen, self.spec)))
        return torch.cat(parts)

    def _embed(self, maps: Tensor) -> Tensor:
        """[n, d] float32 of maps [n, c, h, w]."""
        with torch.inference_mode():
            parts = [
                self.network.embed(
                    self.network.run(entering(batch).to(device_of(self.network)), self.cut, len(self.network.stages))
                ).cpu()
                for batch in torch.split(maps, 64)
            ]
        return torch.cat(parts).clone()

    def _path(self, example: Example, looks: Sequence[View], donors: Donors | None) -> Path | None:
        if self.folder is None:
            return None
        how = (
            self.base,
            self.cut,
            self.network.pooling,
            self.spec.model_dump_json(),
            list(looks),
            donors.key if donors else "",
            *(() if self.jitter == USUAL else (self.jitter.model_dump_json(),)),
        )
        key = repr((_FORMAT, *how, example.sha256))
        name = hashlib.sha256(key.encode()).hexdigest()
        return self.folder / name[:2] / f"{name}.safetensors"

    def _recall(self, path: Path | None) -> _Seen | None:
        try:
            return None if path is None else _Seen(**load_file(path))
        except (OSError, SafetensorError):
            return None

    def _keep(self, path: Path | None, seen: _Seen) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            tensors = {"maps": seen.maps.contiguous(), "embeddings": seen.embeddings.contiguous()}
            save_file(tensors, path)


def seeds_of(examples: Sequence[Example], spec: Preprocessing) -> Tensor:
    """[n, t] int64: a number for each input, from its image's content."""
    seeds = [int(example.sha256[:12], 16) + tile for example in examples for tile in range(spec.inputs)]
    return torch.tensor(seeds, dtype=torch.int64).view(len(examples), spec.inputs)


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
