"""Which size of the network's input: by the smallest defect that matters, where one is named; else asked of a linear
head on the frozen network, before anything is trained.

A small defect can be too few pixels for the network to notice; a larger input costs its area in training and on the
line. One, one and a half and two times the base model's size are compared on held-out groups, and the smallest that is
within one standard error of the best is taken (Breiman et al., 1984).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from contracts.errors import ConfigurationError
from trainer.attempt import good_labels, preprocessing
from trainer.bases.backbone import BaseModel
from trainer.clock import now
from trainer.course import Course, Material
from trainer.dataset import Example
from trainer.evidence import cheapest, losses_of
from trainer.outset import set_out
from trainer.progress import Progress
from trainer.resolution import NEEDED, pixels_in_network, usual_size
from trainer.settings import TrainingSettings
from trainer.snapshot import Snapshot
from trainer.split import folds, group_of
from trainer.stem import Stem
from trainer.views import View

_FACTORS = (1.0, 1.5, 2.0)
_LARGEST = 1024  # pixels a side, as `TrainingSettings` allows
_ASKED = 1000  # images at most
_FOLDS = 4
_SHARE = 0.25  # of the training's time that the choice may take
_WORTH = 0.02  # nats of held-out loss, which a larger input must bring at least
_PLAIN = (View(0),)


@dataclass(frozen=True)
class Tried:
    """One size, in pixels, and the weighted held-out loss [n] of the images that all sizes were asked about."""

    width: int
    height: int
    losses: Tensor
    seconds: float

    @property
    def said(self) -> str:
        """`448 x 448`."""
        return f"{self.width} x {self.height}"


@dataclass(frozen=True)
class Sizing:
    """The size that was chosen, and why, in sentences and numbers (JSON)."""

    width: int
    height: int
    reasons: tuple[str, ...]
    numbers: dict[str, dict[str, float]]

    def told(self) -> dict[str, Any]:
        """For card and metrics."""
        return {"reasons": list(self.reasons), "tried": self.numbers}


def choose_size(base: BaseModel, snapshot: Snapshot, settings: TrainingSettings, progress: Progress) -> Sizing:
    """Looks at no test image. Raises ConfigurationError and DatasetError as a training does, and where a smallest
    defect is named that no size shows."""
    train = snapshot.of("train")
    if settings.smallest_defect is not None:
        return fitting_size(base, usual_size(train), settings, settings.smallest_defect)
    asked = train[:: max(1, -(-len(train) // _ASKED))]
    sizes = sizes_for(base)
    limit, tried, reasons = _SHARE * settings.max_seconds, list[Tried](), list[str]()
    began = now()
    for number, (width, height) in enumerate(sizes):
        progress("sizes", number / len(sizes), f"{width} x {height}")
        if tried and now() - began + _expected(tried[-1], width * height) > limit:
            reasons.append(f"{width} x {height} was not tried: it would take more than a quarter of the time.")
            break
        tried.append(_try(base, snapshot.labels, settings, asked, (width, height)))
    groups = [group_of(example) for example in asked]
    winner, behind, allowed = cheapest([each.losses for each in tried], groups, worth=_WORTH)
    chosen = tried[winner]
    within = f"{behind:.4f} above the lowest, where {allowed:.4f} may be chance or is not worth the compute"
    losses = ", ".join(f"{each.said} {float(each.losses.mean()):.4f}" for each in tried)
    return Sizing(
        chosen.width,
        chosen.height,
        (
            f"Held-out loss of a linear head: {losses}.",
            *reasons,
            f"Chosen: {chosen.said} ({within if behind > 0 else 'the lowest'}).",
        ),
        {each.said: {"held_out_loss": float(each.losses.mean()), "seconds": each.seconds} for each in tried},
    )


def fitting_size(base: BaseModel, images: tuple[int, int], settings: TrainingSettings, smallest: float) -> Sizing:
    """The smallest size that shows `NEEDED` pixels of a defect whose side is `smallest` pixels of images of this width
    and height. Raises ConfigurationError where none does."""
    shown: dict[str, dict[str, float]] = {}
    for width, height in sizes_for(base):
        chosen = settings.model_copy(update={"input_width": width, "input_height": height})
        pixels = pixels_in_network(smallest, images, preprocessing(base, chosen))
        shown[f"{width} x {height}"] = {"smallest_defect_pixels": pixels}
        if pixels >= NEEDED:
            had = ", ".join(f"{name} {found['smallest_defect_pixels']:.1f}" for name, found in shown.items())
            reason = f"Pixels that a defect of {smallest:g} on the image has ({NEEDED:g} are needed): {had}."
            return Sizing(width, height, (reason, f"Chosen: {width} x {height}."), shown)
    raise ConfigurationError(
        f"a defect of {smallest:g} pixels in an image of {images[0]} x {images[1]} has {pixels:.1f} in the largest "
        f"input that is tried, {width} x {height}, and needs {NEEDED:g}: leave --size auto out, so that tiles are "
        "chosen, or name a region or a larger --smallest-defect"
    )


def sizes_for(base: BaseModel) -> list[tuple[int, int]]:
    """Width and height of the inputs to try, the smallest first. One may be larger than the images: an enlarged defect
    covers more of the network's coarse last maps."""
    scaled = [(round(base.width * factor), round(base.height * factor)) for factor in _FACTORS]
    return [scaled[0], *(size for size in scaled[1:] if max(size) <= _LARGEST)]


def _expected(last: Tried, pixels: int) -> float:
    return last.seconds * pixels / (last.width * last.height)


def _try(
    base: BaseModel, labels: tuple[str, ...], settings: TrainingSettings, asked: Sequence[Example],
    size: tuple[int, int],
) -> Tried:  # fmt: skip
    began = now()
    changed = {"input_width": size[0], "input_height": size[1], "strategy": "probe", "choose_size": False}
    small = settings.model_copy(update=changed)
    course, stem, _ = set_out(base, labels, good_labels(labels, settings.good), small, preprocessing(base, small))
    return Tried(*size, _held_out(course, stem, tuple(asked)), now() - began)


def _held_out(course: Course, stem: Stem, asked: tuple[Example, ...]) -> Tensor:
    """[n] losses of heads that have not seen the image's group."""
    material = Material(asked, stem.features(asked, _PLAIN))
    fit = course.regularisation(material)
    logits = torch.zeros(len(asked), len(course.labels))
    for part in folds(asked, _FOLDS, seed=course.settings.seed):
        if part:
            head = course.head(course.lesson(material.without(part)), fit)
            logits[part] = course.says(head, material.rows(part).features)
    lesson = course.lesson(material)
    return losses_of(logits, lesson.targets, lesson.weights)
