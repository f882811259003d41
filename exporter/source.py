"""What the exporter takes from a training run: the model, its rule, its images by split, where it comes from."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from contracts.bundle import Licence, Lineage
from contracts.errors import DatasetError
from contracts.preprocessing import Preprocessing
from contracts.tasks import Tasks
from contracts.thresholds import Thresholds
from runtime.preprocessing import prepare
from runtime.session import Signature
from trainer.card.file import read_card
from trainer.card.values import ModelCard
from trainer.image import pixels_of
from trainer.network import Everything, Network
from trainer.trained import TrainedModel


class Labelled(Protocol):
    """One labelled image file."""

    @property
    def path(self) -> Path: ...
    @property
    def label(self) -> str: ...


@dataclass(frozen=True)
class Source:
    """What goes into a bundle. `module(x [b * n, 3, h, w]) -> (logits [b, k], embedding [b, d], ...)` for b images
    of n inputs, with the outputs of its `tasks`, in eval mode."""

    module: nn.Module
    site: str
    product: str
    labels: tuple[str, ...]
    good_labels: tuple[str, ...]
    preprocessing: Preprocessing
    thresholds: Thresholds
    temperature: float
    embedding_width: int
    licence: Licence
    lineage: Lineage
    train: Sequence[Labelled]
    validation: Sequence[Labelled]
    test: Sequence[Labelled]
    tasks: Tasks | None = None
    card: ModelCard | None = None

    @property
    def signature(self) -> Signature:
        """Shapes of the model's input and outputs."""
        spec = self.preprocessing
        return Signature(
            labels=len(self.labels),
            height=spec.height,
            width=spec.width,
            embedding_width=self.embedding_width,
            inputs=spec.inputs,
            tasks=self.tasks,
        )


def source_of(model: TrainedModel) -> Source:
    """The parts of a training run that an export needs. Raises DatasetError when it has no training or test images,
    and ConfigurationError where its model card cannot be read."""
    record, snapshot = model.record, model.snapshot
    source = Source(
        module=Everything(model.module) if isinstance(model.module, Network) and record.tasks else model.module,
        site=record.site,
        product=record.product,
        labels=record.labels,
        good_labels=record.good_labels,
        preprocessing=record.preprocessing,
        thresholds=record.thresholds,
        temperature=record.temperature,
        embedding_width=record.embedding_width,
        licence=record.licence,
        lineage=record.lineage,
        train=snapshot.of("train"),
        validation=snapshot.of("validation"),
        test=[example for example in snapshot.of("test") if example.label in record.labels],
        tasks=record.tasks,
        card=read_card(model),
    )
    if not source.train or not source.test:
        raise DatasetError(f"{model.folder}: its snapshot has no training or no test images; train again with more")
    return source


def tensors(examples: Sequence[Labelled], spec: Preprocessing) -> Iterator[NDArray[np.float32]]:
    """Network inputs [n, 3, h, w], one image at a time."""
    for example in examples:
        yield prepare(pixels_of(example.path, spec), spec)


@dataclass(frozen=True)
class Inputs:
    """The network inputs of `examples`, made anew each time they are gone through: they do not all lie in memory."""

    examples: Sequence[Labelled]
    preprocessing: Preprocessing

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        return tensors(self.examples, self.preprocessing)


def balanced(examples: Sequence[Labelled], most: int, *, seed: int) -> list[Labelled]:
    """At most `most` examples, as many of each class as there are, in an order drawn from the seed."""
    shuffled = random.Random(seed).sample(list(examples), len(examples))
    by_label: dict[str, list[Labelled]] = {}
    for example in shuffled:
        by_label.setdefault(example.label, []).append(example)
    turns = [members[turn] for turn in range(len(shuffled)) for members in by_label.values() if turn < len(members)]
    return turns[:most]


def some(examples: Sequence[Labelled], most: int, *, seed: int) -> list[Labelled]:
    """At most `most` examples drawn without looking at the class, in their own order."""
    if len(examples) <= most:
        return list(examples)
    kept = sorted(random.Random(seed).sample(range(len(examples)), most))
    return [examples[index] for index in kept]
