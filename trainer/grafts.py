"""Marked defects on other parts: so that what is learned is the defect, and not the few parts that happened to have it.

A class of twenty images is often a class of seven parts, and a network learns those parts. Where marks say what of an
image is the defect, all else of it may be a good part's (Ghiasi et al., Simple Copy-Paste is a Strong Data Augmentation
Method for Instance Segmentation, CVPR 2021); label and marks stay true. Pieces of good parts are set into good ones in
the same way, so that a seam tells nothing.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from contracts.preprocessing import Preprocessing
from trainer.dataset import Example
from trainer.image import load_images
from trainer.marks import COLUMN, boxes_of
from trainer.tasks import marks_of

_SHARE = 0.5  # of the marked defects of a batch that are shown on another part
_SEAMS = 0.25  # of the good parts of a batch that get a piece of another good part
_TOLD = 0.5  # the same of a grafted view, of which there are as many as plain ones
_FADE = 0.15  # of a mark's side, over which it fades into its new part
_LEAST_FADE = 0.03  # of the input's side
_DIMMEST, _BRIGHTEST = 0.5, 2.0  # of what is set into other light


@dataclass(frozen=True)
class Grafts:
    """What may be set into what, of n images with t inputs each: `marks` [n, t, m, 4] float32, left, top, right and
    bottom in each input's own -1..1, not a number where there are fewer; `good` [n] bool."""

    marks: Tensor
    good: Tensor

    @classmethod
    def of(cls, examples: Sequence[Example], spec: Preprocessing, good: Sequence[str]) -> Grafts:
        """Raises DatasetError for a mark that is no box, or lies outside its image."""
        marks, _ = marks_of(examples, spec, good)
        return cls(marks, torch.tensor([example.label in good for example in examples], dtype=torch.bool))

    def rows(self, index: Tensor) -> Grafts:
        """Those of some images."""
        return Grafts(self.marks[index], self.good[index])

    def drawn(self, images: Tensor) -> Tensor:
        """The images [n, t, 3, h, w] (0..255), about half of the marked defects on a good part among them, drawn from
        torch's generator; float32. Untouched where there is no good part."""
        seen = images.float()
        marked = (~self.good & ~self.marks.isnan().flatten(1).all(1)).nonzero().flatten()
        hosts = self.good.nonzero().flatten()
        if not len(marked) or len(hosts) < 2:
            return seen
        moved, told = _some(marked, _SHARE), _some(hosts, _SEAMS)
        shapes = torch.cat([moved, _any(marked, len(told))])
        guests = torch.cat([moved, _any(hosts, len(told))])
        onto = torch.cat([_any(hosts, len(moved)), told])
        if not len(shapes):
            return seen
        cover = cover_of(self.marks[shapes], *seen.shape[3:])
        grafted = _set_into(seen[onto], seen[guests], cover)
        return seen.index_copy(0, torch.cat([moved, told]), grafted)


@dataclass(frozen=True)
class Donors:
    """The training images, for views that are made once and kept: each of them is grafted as its content and the view's
    number say, with the images of the class names `good` as the other parts."""

    examples: tuple[Example, ...]
    spec: Preprocessing
    good: tuple[str, ...]

    @cached_property
    def key(self) -> str:
        """Of all that decides what an image is grafted with."""
        rows = sorted((e.sha256, e.label, e.attributes.get(COLUMN, "")) for e in self.examples)
        return hashlib.sha256(repr((rows, self.good)).encode()).hexdigest()

    @property
    def idle(self) -> bool:
        """Whether there is nothing to graft, or nothing to graft it onto."""
        return not self._parts or not self._shapes

    @cached_property
    def _parts(self) -> tuple[Example, ...]:
        return tuple(example for example in self.examples if example.label in self.good)

    @cached_property
    def _shapes(self) -> tuple[Example, ...]:
        return tuple(e for e in self.examples if e.label not in self.good and boxes_of(e))

    def grafted(self, examples: Sequence[Example], images: Tensor, number: int) -> Tensor:
        """The images [n, t, 3, h, w] (0..255) of these examples, float32: marked defects on a good part, and half of
        the good ones with a piece of another."""
        seen = images.float()
        if self.idle:
            return seen
        rows, others, shapes = [], [], []
        for row, example in enumerate(examples):
            draw = random.Random(f"{example.sha256} {number}")  # no secret
            other, shape, told = draw.choice(self._parts), draw.choice(self._shapes), draw.random() < _TOLD
            is_good = example.label in self.good
            if told if is_good else bool(boxes_of(example)):
                rows.append(row)
                others.append(other)
                shapes.append(shape if is_good else example)
        if not rows:
            return seen
        covers = cover_of(marks_of(shapes, self.spec, self.good)[0], *seen.shape[3:])
        own, other_images = seen[rows], load_images(others, self.spec).float()
        stays = torch.tensor([examples[row].label in self.good for row in rows]).view(-1, 1, 1, 1, 1)
        grafted = _set_into(
            torch.where(stays, own, other_images), torch.where(stays, other_images, own), covers
        )  # fmt: skip
        return seen.index_copy(0, torch.tensor(rows), grafted)


def cover_of(marks: Tensor, height: int, width: int) -> Tensor:
    """[n, t, 1, height, width] of 0..1 for marks [n, t, m, 4] in -1..1: 1 in each of them, fading to 0 around."""
    across, down = (torch.arange(size) * 2 / size + 1 / size - 1 for size in (width, height))
    left, top, right, bottom = (side[..., None] for side in marks.unbind(-1))  # [n, t, m, 1]
    beside = _inside(across, left, right).unsqueeze(-2) * _inside(down, top, bottom).unsqueeze(-1)
    return beside.nan_to_num(0.0).amax(2).unsqueeze(2)


def _inside(places: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """[..., places] of 0..1: 1 from low to high, falling beside."""
    fade = (_FADE * (high - low)).clamp_min(2 * _LEAST_FADE)
    return (1 - torch.maximum(low - places, places - high) / fade).clamp(0, 1)


def _set_into(hosts: Tensor, guests: Tensor, cover: Tensor) -> Tensor:
    """Guests [n, t, 3, h, w] where they are covered, in the light of the hosts around it."""
    around = cover * (1 - cover)
    theirs, own = ((images * around).sum((1, 2, 3, 4)) for images in (hosts, guests))
    light = torch.where(own > 0, theirs / own.clamp_min(1e-6), torch.ones(())).clamp(_DIMMEST, _BRIGHTEST)
    lit = (guests * light.view(-1, 1, 1, 1, 1)).clamp(0, 255)
    return hosts * (1 - cover) + lit * cover


def _some(rows: Tensor, share: float) -> Tensor:
    return rows[torch.rand(len(rows)) < share]


def _any(rows: Tensor, count: int) -> Tensor:
    return rows[torch.randint(0, len(rows), (count,))]
