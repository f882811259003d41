"""Is a task worse over a shared trunk than trained alone? Each is trained alone too, and compared image by image."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from trainer.attempt import Attempt, Task
from trainer.dataset import Example
from trainer.evaluate import predict
from trainer.evaluation.tasks import LevelAnswers, PlaceAnswers, ask_beside
from trainer.evidence import losses_of, standard_error
from trainer.progress import Progress
from trainer.settings import TrainingSettings
from trainer.split import group_of
from trainer.tasks import CLASS, LOCATION, SEVERITY
from trainer.weighing import balanced_weights, soft_targets

_MEASURES = {CLASS: "loss of the class", SEVERITY: "distance from the true level", LOCATION: "1 - overlap of the box"}


@dataclass(frozen=True)
class Compared:
    """One task on the same validation images: the mean error together and alone, and the standard error, over groups,
    of their difference."""

    name: str
    together: float
    alone: float
    error: float

    @property
    def worse(self) -> bool:
        """Together by more than one standard error. A single group tells nothing."""
        return math.isfinite(self.error) and self.together - self.alone > self.error

    def figures(self) -> dict[str, float | None]:
        """As JSON, which knows no infinity; None where nothing tells."""
        values = {"together": self.together, "alone": self.alone, "error": self.error}
        return {name: value if math.isfinite(value) else None for name, value in values.items()}

    def sentence(self) -> str:
        """For the card."""
        return (
            f"{self.name.capitalize()} is worse together than alone: {_MEASURES[self.name]} {self.together:.3f} "
            f"against {self.alone:.3f} (standard error of the difference {self.error:.3f}): give it a model of "
            "its own, or more weight (task_weights)."
        )


def compare_alone(task: Task, attempt: Attempt) -> list[Compared]:
    """Train the class and every further task alone, in the same way, and compare each with the attempt on the
    validation split, which all rounds of both have held out; the test is not read for a choice. It takes as long again
    for each, beside `max_seconds`. Raises as `Task.attempt` does."""
    found = []
    place = task.out / "alone"
    for name in (CLASS, *attempt.settings.tasks):
        by_itself = replace(task, out=place / name, until=math.inf, progress=_named(task.progress, name))
        other = by_itself.attempt(alone(attempt.settings, name))
        found.append(compared(name, attempt, other, task.snapshot.of("validation")))
    shutil.rmtree(place, ignore_errors=True)
    return found


def _named(progress: Progress, name: str) -> Progress:
    """Says for which task the training begins anew."""
    return lambda stage, fraction, note="": progress(f"{name} alone: {stage}", fraction, note)


def alone(settings: TrainingSettings, name: str) -> TrainingSettings:
    """The settings under which nothing but this task is learned."""
    if name == CLASS:
        return settings.model_copy(update={"tasks": (), "task_weights": {}})
    return settings.model_copy(update={"tasks": (name,), "task_weights": {CLASS: 0.0}})


def compared(name: str, together: Attempt, by_itself: Attempt, unseen: tuple[Example, ...]) -> Compared:
    """Errors of one task by two attempts on the same images."""
    (mine, groups), (theirs, _) = (_errors(name, attempt, unseen) for attempt in (together, by_itself))
    if not groups:
        return Compared(name, math.nan, math.nan, math.inf)
    return Compared(name, float(mine.mean()), float(theirs.mean()), standard_error(mine - theirs, groups))


def _errors(name: str, attempt: Attempt, unseen: tuple[Example, ...]) -> tuple[Tensor, tuple[str, ...]]:
    """[n] float64 of the images that tell, and their groups."""
    course, network, spec = attempt.course, attempt.taught.network, attempt.stem.spec
    if name == CLASS:
        targets = soft_targets(unseen, course.labels, course.good, noise=course.settings.label_noise)
        losses = losses_of(predict(network, unseen, spec), targets, balanced_weights(unseen, course.good))
        return losses, tuple(map(group_of, unseen))
    said = ask_beside(network, unseen, spec)
    scale = network.heads.tasks.severity if network.heads else None
    if name == SEVERITY and scale is not None:
        levels = LevelAnswers.of(unseen, said, scale, course.good)
        return torch.from_numpy(np.abs(levels.said - levels.true)).double(), levels.groups
    places = PlaceAnswers.of(unseen, said, spec, course.good)
    return torch.from_numpy(1 - places.overlaps), places.groups
