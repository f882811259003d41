"""What stands before the first step of a training: the pretrained network, cut, on its device, with the heads that the
images call for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from contracts.errors import DatasetError
from contracts.preprocessing import Preprocessing
from contracts.tasks import LocationGrid, Tasks
from trainer.bases.backbone import BaseModel, load_base_model
from trainer.course import Course
from trainer.dataset import Example
from trainer.device import CPU, device_for, device_of, placed
from trainer.marks import COLUMN, boxes_of
from trainer.network import Network
from trainer.rounds.heads import Heads
from trainer.settings import TrainingSettings
from trainer.stem import Stem, tail_start
from trainer.strategy import PIXELS
from trainer.tasks import levels_of, prove_legible, severity_scale


def set_out(
    base: BaseModel, labels: tuple[str, ...], good: tuple[str, ...], settings: TrainingSettings, spec: Preprocessing,
    *, folder: Path | None = None,
) -> tuple[Course, Stem, str | None]:  # fmt: skip
    """The course over a base model as it was pretrained (with random weights for the strategy `scratch`), the stem that
    stays frozen and keeps its features in `folder`, and the SHA-256 of the weights (None for random ones). Raises
    ConfigurationError where the weights do not fit."""
    if settings.strategy == "scratch":
        base = base.model_copy(update={"weights": None, "sha256": None})
    backbone, found = load_base_model(base, seed=settings.seed)
    passes = [label in good for label in labels]
    network = Network(backbone, len(labels), inputs=spec.inputs, good=passes, pooling=settings.pooling)
    network.eval().requires_grad_(False)
    device = device_for(settings.device)
    cut = 0 if settings.strategy in PIXELS else tail_start(network, spec)
    placed(network, device)
    weights = found or f"random weights, seed {settings.seed}"
    where = weights if device == CPU else f"{weights} on {device}"
    stem = Stem(network, cut, spec, base=where, folder=folder, jitter=settings.jitter)
    return Course(network, cut, labels, good, settings, spec), stem, found


def heads_for(course: Course, train: Sequence[Example], judged: Sequence[Example]) -> Heads | None:
    """Untrained heads for the tasks of the settings, with the scale and the grid that these training images and the
    network make; None without tasks. Raises DatasetError where the images tell too little, or something that cannot be
    read, those too that the network will be `judged` by."""
    settings, network = course.settings, course.network
    if not settings.tasks:
        return None
    _prove_told(course, train, judged)
    scale, above = None, []
    if "severity" in settings.tasks:
        scale = settings.severity_scale or severity_scale(train, settings.severity_column, settings.severity_levels)
        levels = levels_of(train, scale, course.good)
        known = levels[levels >= 0]
        above = [float((known > level).float().mean()) for level in range(len(scale.names) - 1)]
    with torch.inference_mode():
        blank = torch.zeros(1, 3, course.spec.height, course.spec.width)
        rows, columns = network.run(blank.to(device_of(network)), 0, len(network.stages)).shape[2:]
    grid = LocationGrid(rows=rows, columns=columns) if "location" in settings.tasks else None
    heads = Heads(network.head.in_features, Tasks(severity=scale, location=grid), above=above)
    return heads.to(device_of(network))


def _prove_told(course: Course, train: Sequence[Example], judged: Sequence[Example]) -> None:
    """The images that judge are read after the training: what cannot be read is said before it."""
    settings, places = course.settings, "location" in course.settings.tasks
    column = settings.severity_column if "severity" in settings.tasks else None
    prove_legible([*train, *judged], course.good, column=column, marks=places)
    if places and not any(boxes_of(example) for example in train if example.label not in course.good):
        raise DatasetError(
            f"no defective training image has a mark in the column {COLUMN!r}, or in a mask; mark some, or leave the "
            "task location out"
        )
