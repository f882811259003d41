"""Quantisation-aware training: the trained network learns on, a little, with the rounding of int8 in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from contracts.errors import BundleError
from exporter.qat.body import rounding_network, settle
from exporter.qat.centre import centre
from exporter.qat.settings import QatSettings
from exporter.source import Labelled, Source, balanced
from trainer.clock import now
from trainer.course import Course, Material
from trainer.dataset import Example
from trainer.features import Features
from trainer.image import load_images, load_inputs
from trainer.maps import Pixels
from trainer.marks import shown_defects
from trainer.network import Everything, Network
from trainer.rounds.checking import answers
from trainer.rounds.finetune import finetune
from trainer.rounds.head import Head
from trainer.rounds.kept import Tuned
from trainer.rounds.lesson import Lesson
from trainer.settings import TrainingSettings
from trainer.strategy import Recipe
from trainer.views import AS_IT_IS, FLIPS

_BATCH = 16
_CENTRED_ON = 32  # images


@dataclass(frozen=True)
class Learned:
    """The network with its rounding, and how it came about; `tuned.best.step` 0: learning brought nothing."""

    network: Network
    tuned: Tuned


def learn(
    source: Source, settings: QatSettings, *, calibration: int, tick: Callable[[float], None] = lambda _: None
) -> Learned:
    """Fine-tune the network of a training run with its own images, losses and augmentation.

    The ranges come from `calibration` training images and stay, the biases are centred; then the weights follow at a
    low rate, by the trainer's own schedule: its loss, weights averaged over the steps, those of the lowest loss on the
    validation images kept (the start, where nothing is better). What the float network says to a training image counts
    as `settings.echo` of its label, since int8 has to answer like that network. The same source, settings and machine
    give the same weights, unless the time ran out. Raises BundleError where the source has no such network.
    """
    network, spec, began = network_of(source), source.preprocessing, now()
    rounded = rounding_network(network, (3, spec.height, spec.width), float_stem=settings.float_stem)
    chosen = [each for each in balanced(source.train, calibration, seed=settings.seed) if isinstance(each, Example)]
    parts = [chosen[start : start + _BATCH] for start in range(0, len(chosen), _BATCH)]
    settle(rounded.stages[0], (load_inputs(part, spec) for part in parts))
    centre(rounded.stages[0], load_inputs(chosen[:_CENTRED_ON], spec))
    tuned = finetune(
        rounded,
        _head(network),
        _echoed(lesson_of(source, source.train), network, settings.echo),
        lesson_of(source, source.validation),
        cut=0,
        recipe=recipe(settings),
        seed=settings.seed,
        until=began + settings.max_seconds,
        tick=tick,
    )
    return Learned(tuned.network, tuned)


def lesson_of(source: Source, examples: Sequence[Labelled]) -> Lesson:
    """What the run's own trainer would learn from these images, or judge by them."""
    trained = settings_of(source)
    course = Course(network_of(source), 0, source.labels, source.good_labels, trained, source.preprocessing)
    return course.full_lesson(_material(source, examples, trained))


def recipe(settings: QatSettings) -> Recipe:
    """The trainer's schedule for it. The loss is checked often, since a few steps can be enough."""
    return Recipe(
        settings.rate, 1.0, settings.head_rate, passes=settings.passes, fewest_steps=settings.fewest_steps,
        most_steps=settings.most_steps, checks=10, patience=5, memory=0.95,
    )  # fmt: skip


def network_of(source: Source) -> Network:
    """The trainer's network that the source exports. Raises BundleError where it is another module."""
    module = source.module.network if isinstance(source.module, Everything) else source.module
    if not isinstance(module, Network):
        raise BundleError(
            f"quantisation-aware training needs the network of a training run, not {type(module).__name__}; "
            "quantise after training instead (--quantisation ptq)"
        )
    return module


def settings_of(source: Source) -> TrainingSettings:
    """How the run was trained, as its lineage tells; the defaults where it does not."""
    return TrainingSettings.model_validate(source.lineage.training or {})


def _material(source: Source, examples: Sequence[Labelled], trained: TrainingSettings) -> Material:
    spec = source.preprocessing
    known = [each for each in examples if isinstance(each, Example)]
    if len(known) < len(examples):
        raise BundleError(
            "quantisation-aware training needs the images of a training run (--quantisation ptq needs none)"
        )
    flips = FLIPS.get(trained.flips, AS_IT_IS)
    nothing = torch.zeros(len(known), 1, spec.inputs, 0)  # embeddings, which only the fitting of heads asks for
    pixels = Pixels(load_images(known, spec), spec, flips, jitter=trained.jitter)
    features = Features(pixels, nothing, shown_defects(known, spec))
    return Material(tuple(known), features)


def _head(network: Network) -> Head:
    return Head(network.centre, network.scale, network.head.weight.detach(), network.head.bias.detach())


def _echoed(lesson: Lesson, network: Network, echo: float) -> Lesson:
    said = answers(network, lesson.features.maps, 0).softmax(1)
    return replace(lesson, targets=(1 - echo) * lesson.targets + echo * said)
