"""Which strategy: two candidates by the number of images and their distance from what the weights were made for, both
trained within one budget, and the cheapest that is within one standard error of the best (Breiman et al., 1984)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from trainer.attempt import Attempt, Task
from trainer.bases.transferability import domain_distance
from trainer.clock import now
from trainer.course import Course, Taught, held_out_parts
from trainer.dataset import Example
from trainer.evidence import cheapest, losses_of
from trainer.image import load_inputs
from trainer.rounds.finetune import step_seconds, steps_of
from trainer.rounds.lesson import Lesson
from trainer.settings import StrategyName, TrainingSettings
from trainer.split import group_of
from trainer.stem import Stem
from trainer.strategy import recipe_of
from trainer.views import View
from trainer.weighing import balanced_weights, soft_targets

_MANY, _FEW = 600, 120  # images to train on
_FAR = 0.6  # domain distance, in standard deviations
_LOOKED_AT = 96  # images, for the distance
_TRIED = 32  # images of a step whose time is taken


class Tried(Protocol):
    """What has to be known of an attempt to compare it, in this process or in an earlier one."""

    @property
    def course(self) -> Course: ...
    @property
    def taught(self) -> Taught: ...


@dataclass(frozen=True)
class Outcome:
    """The attempt that won, and why in sentences and numbers (JSON) for card and metrics; none where it was alone.
    `tuning`: what a search over its recipe has found, `size`: why its input is so large (JSON, see `tuning` and
    `sizing`); empty where none was asked for."""

    attempt: Attempt
    reasons: tuple[str, ...] = ()
    numbers: dict[str, dict[str, float]] = field(default_factory=dict)
    tuning: dict[str, Any] = field(default_factory=dict)
    size: dict[str, Any] = field(default_factory=dict)


def contest(task: Task, settings: TrainingSettings) -> Outcome:
    """Try the candidates, the cheaper one first; one whose steps alone would break the budget is not begun, which is
    said."""
    images = len(task.snapshot.of("train"))
    distance = _distance(task, settings)
    names = candidates(images, distance)
    far = "unknown" if distance is None else f"{distance:.2f}"
    reasons = [f"Candidates {' and '.join(names)}: {images} images to train on, distance from the base model's {far}."]
    attempts: list[Attempt] = []
    for name in names:
        if name == "probe" and settings.tasks:
            reasons.append("probe was not tried: it has no heads for further tasks.")
            continue
        chosen = settings.model_copy(update={"strategy": name})
        expected = expected_seconds(task, chosen) if attempts else 0.0
        if attempts and now() + expected > task.until:
            left = max(0.0, task.until - now())
            reasons.append(f"{name} was not tried: its steps would take {expected:.0f} s of the {left:.0f} s left.")
            continue
        attempts.append(task.attempt(chosen))
    winner, losses, said = choose(attempts)
    numbers: dict[str, dict[str, float]] = {
        attempt.settings.strategy: {"held_out_loss": float(loss.mean()), "seconds": attempt.seconds}
        for attempt, loss in zip(attempts, losses, strict=True)
    }
    return Outcome(attempts[winner], (*reasons, *said), numbers)


def candidates(images: int, distance: float | None) -> tuple[StrategyName, StrategyName]:
    """The cheaper one first. Few images cannot move many weights; many, or far ones, are worth moving all."""
    if images < _FEW:
        return "probe", "tail"
    if images >= _MANY or (distance or 0.0) > _FAR:
        return "tail", "full"
    return "probe", "tail"


def choose(attempts: Sequence[Attempt]) -> tuple[int, list[Tensor], list[str]]:
    """Which attempt wins, the losses of all on the images that all have held out, and what is to be said."""
    images = shared_images(attempts)
    losses = comparable_losses(attempts, images)
    winner, behind, error = cheapest(losses, [group_of(example) for example in images])
    said = [
        f"{attempt.settings.strategy}: held-out loss {float(loss.mean()):.4f} in {attempt.seconds:.0f} s."
        for attempt, loss in zip(attempts, losses, strict=True)
    ]
    why = f"{behind:.4f} above the lowest, within one error of {error:.4f}" if behind > 0 else "the lowest"
    return winner, losses, [*said, f"Chosen: {attempts[winner].settings.strategy} ({why})."]


def shared_images(attempts: Sequence[Tried], keep: Callable[[Example], bool] = lambda _: True) -> list[Example]:
    """What every attempt has held out (one that was cut short has fewer), in the order of the first."""
    known = [{example.sha256 for example in attempt.taught.held_out} for attempt in attempts]
    shared = set.intersection(*known)
    return [example for example in attempts[0].taught.held_out if example.sha256 in shared and keep(example)]


def comparable_losses(attempts: Sequence[Tried], images: Sequence[Example]) -> list[Tensor]:
    """[n] for each attempt: weighted cross-entropy of the same images, with the same weights, each at the temperature
    that suits it best; between good and defect alone where the attempts do not know the same classes."""
    same = len({attempt.course.labels for attempt in attempts}) == 1
    return [_losses(attempt, images, by_class=same) for attempt in attempts]


def _losses(attempt: Tried, images: Sequence[Example], *, by_class: bool) -> Tensor:
    course, taught = attempt.course, attempt.taught
    row = {example.sha256: number for number, example in enumerate(taught.held_out)}
    logits = taught.logits[[row[image.sha256] for image in images]]
    weights, noise = balanced_weights(images, course.good), course.settings.label_noise
    if by_class:
        targets = soft_targets(images, course.labels, course.good, noise=noise)
    else:
        good = course.good_mask()
        logits = torch.stack([logits[:, good].logsumexp(1), logits[:, ~good].logsumexp(1)], dim=1)
        passes = torch.tensor([image.label in course.good for image in images])
        targets = torch.stack([passes, ~passes], dim=1).float() * (1 - 2 * noise) + noise
    return losses_of(logits, targets, weights)


def expected_seconds(task: Task, settings: TrainingSettings) -> float:
    """What the steps of a strategy would take, from the time of two of them on this machine."""
    recipe = recipe_of(settings)
    if recipe is None:
        return 0.0
    course, stem, _ = task.begin(settings)
    train = task.snapshot.of("train")
    rounds = len(held_out_parts(train, task.snapshot.of("validation"), course.good, seed=settings.seed))
    one = step_seconds(course.network, _lesson(course, stem, task), cut=course.cut, recipe=recipe)
    return rounds * steps_of(recipe, len(train)) * one


def _lesson(course: Course, stem: Stem, task: Task) -> Lesson:
    some = task.snapshot.of("train")[:_TRIED]
    targets = soft_targets(some, course.labels, course.good, noise=course.settings.label_noise)
    return Lesson(stem.features(some, (View(0),)), targets, torch.ones(len(some)))


def _distance(task: Task, settings: TrainingSettings) -> float | None:
    course, stem, _ = task.begin(settings.model_copy(update={"strategy": "probe"}))
    train = task.snapshot.of("train")
    some = train[:: max(1, -(-len(train) // _LOOKED_AT))]
    parts = [some[start : start + 16] for start in range(0, len(some), 16)]
    return domain_distance(course.network, (load_inputs(part, stem.spec) for part in parts))
