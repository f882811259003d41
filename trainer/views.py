"""Several looks at each training image: a camera that moves by a few pixels, other light, allowed mirrorings.

A view depends on the image's content and the view's number alone, so that features of the frozen stem can be cached and
training stays repeatable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

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
_SHIFT = 0.025  # share of the image's width and height
_ZOOM = 0.03
_LIGHT = 0.06
_CONTRAST = 0.10


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


def in_words() -> str:
    """How far every look but the plain one may vary, for the card."""
    return (
        f"moved by up to {_SHIFT:.1%} of their sides, zoomed by {_ZOOM:.0%}, varied in light by {_LIGHT:.0%} and in "
        f"contrast by {_CONTRAST:.0%}"
    )


def grafting(looks: Sequence[View]) -> tuple[View, ...]:
    """Every second of them, the plain one left out, with grafts."""
    return tuple(replace(view, graft=view.number % 2 == 0 < view.number) for view in looks)


def look(images: Tensor, view: View, seeds: list[int]) -> Tensor:
    """The images [b, 3, h, w] (0..255) under this view, float32 0..255; `seeds` holds one number per image."""
    seen = images.float()
    if view.number:
        seen = _jitter(seen, torch.stack([_draw(seed + view.number) for seed in seeds]))
    return flipped(seen, view.flip)


def drawn(images: Tensor, flips: tuple[Flip, ...]) -> Tensor:
    """The images [b, 3, h, w] (0..255) moved, lit and mirrored, each in its own way, drawn from torch's generator."""
    return moved(images, flips)[0]


def moved(images: Tensor, flips: tuple[Flip, ...]) -> tuple[Tensor, Tensor]:
    """`drawn`, and where each place of the images went: [b, 2, 3] from -1..1 across and down to the same."""
    jitter = torch.rand(len(images), 5) * 2 - 1
    seen = _jitter(images.float(), jitter)
    kinds = torch.randint(0, len(flips), (len(images),))
    for kind, flip in enumerate(flips):
        seen[kinds == kind] = flipped(seen[kinds == kind], flip)
    return seen, moves(jitter, [flips[kind] for kind in kinds.tolist()])


def moves_of(looks: Sequence[View], seeds: Sequence[int]) -> Tensor:
    """[b, 2, 3] as `moved` gives them, of images that `look` shows with these seeds, each under its own view."""
    still = torch.zeros(5)
    jitter = [_draw(seed + view.number) if view.number else still for view, seed in zip(looks, seeds, strict=True)]
    return moves(torch.stack(jitter), [view.flip for view in looks])


def moves(drawn: Tensor, flips: Sequence[Flip]) -> Tensor:
    """[b, 2, 3] of what `_jitter` does with `drawn` [b, 5] and then a mirroring each."""
    there = torch.zeros(len(drawn), 2, 3)
    zoom = 1 + _ZOOM * drawn[:, 0]
    there[:, 0, 0] = there[:, 1, 1] = 1 / zoom
    there[:, :, 2] = -2 * _SHIFT * drawn[:, 1:3] / zoom[:, None]
    for flip in sorted(set(flips)):
        rows = torch.tensor([other == flip for other in flips])
        turned = there[rows].flip(1) if "t" in flip else there[rows]
        there[rows] = turned * torch.tensor([-1.0 if sign in flip else 1.0 for sign in "hv"])[:, None]
    return there


def flipped(images: Tensor, flip: Flip) -> Tensor:
    """[b, c, h, w] mirrored. A transpose needs square images."""
    if "t" in flip:
        images = images.transpose(2, 3)
    axes = [axis for axis, sign in ((3, "h"), (2, "v")) if sign in flip]
    return images.flip(axes) if axes else images


def _draw(seed: int) -> Tensor:
    """Five numbers in -1..1."""
    return torch.rand(5, generator=torch.Generator().manual_seed(seed % 2**62)) * 2 - 1


def _jitter(images: Tensor, drawn: Tensor) -> Tensor:
    """[b, 3, h, w] moved, zoomed, lit and contrasted by `drawn` [b, 5]; the border repeats."""
    theta = torch.zeros(len(images), 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 + _ZOOM * drawn[:, 0]
    theta[:, :, 2] = 2 * _SHIFT * drawn[:, 1:3]
    grid = nn.functional.affine_grid(theta, list(images.shape), align_corners=False)
    moved = nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    gain, contrast = (1 + size * drawn[:, at].view(-1, 1, 1, 1) for size, at in ((_LIGHT, 3), (_CONTRAST, 4)))
    middle = moved.mean((1, 2, 3), keepdim=True)
    return (((moved - middle) * contrast + middle) * gain).clamp(0, 255)
