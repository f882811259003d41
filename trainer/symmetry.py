"""Which mirrorings leave a part what it is: asked of a head that has seen no mirrored image."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from contracts.errors import ConfigurationError
from trainer.course import Course, Material
from trainer.dataset import Example
from trainer.evidence import cross_entropy
from trainer.rounds.head import Regularisation
from trainer.settings import FlipsName
from trainer.split import folds
from trainer.stem import Stem
from trainer.views import View

_ASKED = 240  # images at most
_TOLERANCE = 0.05  # nats of held-out loss


def harmless_flips(course: Course, stem: Stem, train: Sequence[Example]) -> FlipsName:
    """What the settings say; for `auto` whether left-right, top-bottom, both or no mirroring does no harm. Quarter
    turns of square inputs are asked for where every step sees the images anew: cached views have no room for them."""
    if course.settings.flips != "auto":
        return course.settings.flips
    asked = tuple(train[:: max(1, -(-len(train) // _ASKED))])
    turns = course.cut == 0 and stem.spec.width == stem.spec.height
    looks = (View(0), View(0, "h"), View(0, "v"), *([View(0, "t")] if turns else []))
    _, left_right, top_bottom, *turned = mirrored_losses(course, Material(asked, stem.features(asked, looks)))
    if left_right <= _TOLERANCE:
        if top_bottom > _TOLERANCE:
            return "horizontal"
        return "square" if turned and turned[0] <= _TOLERANCE else "both"
    return "vertical" if top_bottom <= _TOLERANCE else "none"


def refuse_turned(flips: FlipsName, width: int, height: int) -> None:
    """Raises ConfigurationError where quarter turns would make another input of one of so many pixels."""
    if flips == "square" and width != height:
        raise ConfigurationError(
            f"flips 'square' turns images, but the input has {width} x {height} pixels; say 'both', or make it square"
        )


def mirrored_losses(course: Course, asked: Material) -> list[float]:
    """For each view the weighted held-out loss above that of the first one, in nats, over three grouped folds; the head
    learns from the first view alone."""
    plain = Material(asked.examples, asked.features.plain())
    growth = torch.zeros(asked.features.embeddings.shape[1])
    for part in folds(asked.examples, 3, seed=course.settings.seed):
        if not part:
            continue
        head = course.head(course.lesson(plain.without(part)), Regularisation(1.0))
        test = course.lesson(asked.rows(part))
        for view in range(len(growth)):
            losses = cross_entropy(course.says(head, test.features, view=view), test.targets)
            growth[view] += float((losses * test.weights).mean()) * len(part) / len(asked.examples)
    return [float(value - growth[0]) for value in growth]
