"""Several looks at each training image: what its camera may change (see `jitter`), and allowed mirrorings.

A view depends on the image's content and the view's number alone, so that features of the frozen stem can be cached and
training stays repeatable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from trainer.jitter import USUAL, Jitter

Flip = Literal["", "h", "v", "hv", "t", "th", "tv", "thv"]
"""h and v mirror left-right and top-bottom; t (transpose) first swaps the axes, which makes the quarter turns."""

AS_IT_IS: tuple[Flip, ...] = ("",)

FLIPS: dict[str, tuple[Flip, ...]] = {
    "none": AS_IT_IS,
    "horizontal": ("", "h"),
    "vertical": ("", "v"),
    "both": ("", "h", "v", "hv"),
    "square": ("", "h", "v", "hv", "t", "th", "tv", "thv"),
}
FLIPS_IN_WORDS = {
    "none": "not mirrored",
    "horizontal": "mirrored left-right",
    "vertical": "mirrored top-bottom",
    "both": "mirrored both ways",
    "square": "mirrored and turned by quarters",
}

KEPT_VIEWS = 5
"""Looks at each image of which the frozen part's answers are kept."""


@dataclass(frozen=True, slots=True)
class View:
    """One look. `number` seeds the jitter; 0 is the image as it is. `graft`: what is marked is seen on another part."""

    number: int
    flip: Flip = ""
    graft: bool = False


def views(flips: tuple[Flip, ...], count: int) -> tuple[View, ...]:
    """The plain image and `count` - 1 jittered ones that take the flips in turn.

    >>> [view.flip for view in views(("", "h"), 4)]
    ['', 'h', '', 'h']
    """
    return tuple(View(number, flips[number % len(flips)]) for number in range(count))


def grafting(looks: Sequence[View]) -> tuple[View, ...]:
    """Every second of them, the plain one left out, with grafts."""
    return tuple(replace(view, graft=view.number % 2 == 0 < view.number) for view in looks)


def look(images: Tensor, view: View, seeds: list[int], jitter: Jitter = USUAL) -> Tensor:
    """The images [b, 3, h, w] (0..255) under this view, float32 0..255; `seeds` holds one number per image."""
    seen = images.float()
    if view.number:
        generators = [_generator(seed + view.number) for seed in seeds]
        drawn = torch.cat([jitter.draw(1, generator) for generator in generators])
        noise = (
            torch.stack([torch.randn(seen.shape[1:], generator=generator) for generator in generators])
            if jitter.noise
            else None
        )
        seen = jitter.changed(seen, drawn, noise)
    return flipped(seen, view.flip)


def drawn(images: Tensor, flips: tuple[Flip, ...], jitter: Jitter = USUAL) -> Tensor:
    """The images [b, 3, h, w] (0..255) as their camera may see them, and mirrored, each in its own way (of torch's
    generator)."""
    return moved(images, flips, jitter)[0]


def moved(images: Tensor, flips: tuple[Flip, ...], jitter: Jitter = USUAL) -> tuple[Tensor, Tensor]:
    """`drawn`, and where each place of the images went: [b, 2, 3] from -1..1 across and down to the same."""
    far = jitter.draw(len(images))
    seen = jitter.changed(images.float(), far)
    kinds = torch.randint(0, len(flips), (len(images),))
    for kind, flip in enumerate(flips):
        seen[kinds == kind] = flipped(seen[kinds == kind], flip)
    there = jitter.moves(far, images.shape[3] / images.shape[2])
    return seen, mirrored(there, [flips[kind] for kind in kinds.tolist()])


def moves_of(looks: Sequence[View], seeds: Sequence[int], jitter: Jitter = USUAL, ratio: float = 1.0) -> Tensor:
    """[b, 2, 3] as `moved` gives them, of images that `look` shows with these seeds, each under its own view; `ratio`
    is their width over their height."""
    far = [
        jitter.draw(1, _generator(seed + view.number)) if view.number else jitter.still()
        for view, seed in zip(looks, seeds, strict=True)
    ]
    return mirrored(jitter.moves(torch.cat(far), ratio), [view.flip for view in looks])


def mirrored(there: Tensor, flips: Sequence[Flip]) -> Tensor:
    """[b, 2, 3] of places that went `there` [b, 2, 3] and were then mirrored."""
    found = there.clone()
    for flip in sorted(set(flips)):
        rows = torch.tensor([other == flip for other in flips])
        turned = there[rows].flip(1) if "t" in flip else there[rows]
        found[rows] = turned * torch.tensor([-1.0 if sign in flip else 1.0 for sign in "hv"])[:, None]
    return found


def flipped(images: Tensor, flip: Flip) -> Tensor:
    """[b, c, h, w] mirrored. A transpose needs square images."""
    if "t" in flip:
        images = images.transpose(2, 3)
    axes = [axis for axis, sign in ((3, "h"), (2, "v")) if sign in flip]
    return images.flip(axes) if axes else images


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed % 2**62)
