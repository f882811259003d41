"""What enters the trained part of a network at each step: the kept answers of a frozen stem, or pixels drawn anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from contracts.preprocessing import Preprocessing
from trainer.grafts import Grafts
from trainer.image import as_input
from trainer.jitter import USUAL, Jitter
from trainer.views import Flip, View, flipped, moved, moves_of


class Maps(Protocol):
    """The input of the trained part, of n images that are t network inputs (tiles) each."""

    def __len__(self) -> int: ...

    def rows(self, index: Tensor) -> Maps:
        """Those of some images."""
        ...

    def plain(self) -> Tensor:
        """[n * t, c, h, w] float32 of the images as they are."""
        ...

    def drawn(self) -> Tensor:
        """[n * t, c, h, w] float32, one look at each image, drawn from torch's generator."""
        ...

    def moved(self) -> tuple[Tensor, Tensor]:
        """`drawn`, and how each look moved its input [n * t, 2, 3] (see `views.moved`)."""
        ...

    def mirrored(self, flip: Flip) -> Maps:
        """The same images, mirrored as the camera would see them. Raises TypeError where only their maps are kept."""
        ...

    def plus(self, other: Maps) -> Maps:
        """The images as they are, then those of `other` (of the same kind)."""
        ...


@dataclass(frozen=True)
class Cached:
    """The frozen stem's answers `maps` [n, v, t, c, h, w] float16 for v views; the first view is the plain one. The
    `looks` [v], the inputs' `seeds` [n, t] int64, their `jitter` and `ratio` of width to height tell how each was
    moved; needed where that is asked."""

    maps: Tensor
    looks: tuple[View, ...] = ()
    seeds: Tensor | None = None
    jitter: Jitter = USUAL
    ratio: float = 1.0

    def __len__(self) -> int:
        return len(self.maps)

    def rows(self, index: Tensor) -> Cached:
        return replace(self, maps=self.maps[index], seeds=None if self.seeds is None else self.seeds[index])

    def plain(self) -> Tensor:
        return entering(self.maps[:, 0].flatten(0, 1))

    def drawn(self) -> Tensor:
        return self._under(self._draw())

    def moved(self) -> tuple[Tensor, Tensor]:
        if self.seeds is None:
            raise ValueError("nobody has said how these maps were moved")
        numbers = self._draw()
        looks = [self.looks[number] for number in numbers.tolist() for _ in range(self.maps.shape[2])]
        return self._under(numbers), moves_of(looks, self.seeds.flatten().tolist(), self.jitter, self.ratio)

    def _draw(self) -> Tensor:
        return torch.randint(0, self.maps.shape[1], (len(self),))

    def _under(self, numbers: Tensor) -> Tensor:
        return entering(self.maps[torch.arange(len(self)), numbers].flatten(0, 1))

    def mirrored(self, flip: Flip) -> Cached:
        if flip:
            raise TypeError("cached maps of an image are not those of the mirrored image")
        return self

    def plus(self, other: Maps) -> Cached:
        if not isinstance(other, Cached):
            raise TypeError("cached maps are joined with cached maps only")
        seeds = None if self.seeds is None or other.seeds is None else torch.cat([self.seeds, other.seeds])
        maps = torch.cat([self.maps[:, :1], other.maps[:, :1]])
        return replace(self, maps=maps, looks=self.looks[:1], seeds=seeds)


@dataclass(frozen=True)
class Pixels:
    """The images [n, t, 3, h, w] uint8 themselves: every step sees them anew, moved, lit and mirrored at random, and
    with `grafts` with defects set into other images of the step."""

    images: Tensor
    spec: Preprocessing
    flips: tuple[Flip, ...]
    grafts: Grafts | None = None
    jitter: Jitter = USUAL

    def __len__(self) -> int:
        return len(self.images)

    def rows(self, index: Tensor) -> Pixels:
        return replace(self, images=self.images[index], grafts=self.grafts.rows(index) if self.grafts else None)

    def plain(self) -> Tensor:
        return as_input(self.images.flatten(0, 1), self.spec)

    def drawn(self) -> Tensor:
        return self.moved()[0]

    def moved(self) -> tuple[Tensor, Tensor]:
        images = self.grafts.drawn(self.images) if self.grafts else self.images
        seen, moves = moved(images.flatten(0, 1), self.flips, self.jitter)
        return as_input(seen, self.spec), moves

    def mirrored(self, flip: Flip) -> Pixels:
        seen = flipped(self.images.flatten(0, 1), flip)
        return replace(self, images=seen.reshape(self.images.shape), grafts=None)

    def plus(self, other: Maps) -> Pixels:
        if not isinstance(other, Pixels):
            raise TypeError("pixels are joined with pixels only")
        return replace(self, images=torch.cat([self.images, other.images]), grafts=None)


def entering(maps: Tensor) -> Tensor:
    """Cached maps [b, c, h, w] float16 as the tail takes them."""
    return maps.float().contiguous(memory_format=torch.channels_last)
