"""One strategy carried out on a snapshot: what it started from, what it saw, and what it has taught."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from contracts.errors import ConfigurationError
from contracts.preprocessing import Preprocessing
from trainer.bases.backbone import BaseModel
from trainer.clock import now
from trainer.course import Course, Material, Taught
from trainer.device import device_for
from trainer.grafts import Donors
from trainer.image import load_inputs
from trainer.network import settle_statistics
from trainer.outset import heads_for, set_out
from trainer.progress import Progress
from trainer.rounds import ranks
from trainer.rounds.checkpoint import Checkpoint, code_hash, key_of
from trainer.settings import TrainingSettings
from trainer.snapshot import Snapshot
from trainer.stem import Stem
from trainer.strategy import PIXELS, recipe_of
from trainer.symmetry import harmless_flips, refuse_turned
from trainer.views import FLIPS, KEPT_VIEWS, View, grafting, views

GOOD_NAMES = ("good", "ok", "functional", "free", "normal", "mt_free", "pass", "passed", "healthy", "fine", "intact")
_LOOKS_AT_PIXELS = 2  # that the first head is fitted on, where every step draws its own
_SETTLED_ON, _BATCH = 256, 32  # images for BatchNorm's averages, and of a batch
_PLAIN = (View(0),)


@dataclass(frozen=True)
class Attempt:
    """`settings` with everything that was chosen, `base_sha256` of the pretrained weights (None for random ones)."""

    settings: TrainingSettings
    course: Course
    stem: Stem
    base_sha256: str | None
    train: Material
    validation: Material
    taught: Taught
    seconds: float


@dataclass(frozen=True)
class Task:
    """What every attempt of one training has in common. `until` in seconds of `trainer.clock`."""

    snapshot: Snapshot
    base: BaseModel
    out: Path
    workspace: Path | None
    until: float
    resume: bool
    progress: Progress

    def begin(self, settings: TrainingSettings) -> tuple[Course, Stem, str | None]:
        """The course and the stem of a strategy, before anything is looked at."""
        good = good_labels(self.snapshot.labels, settings.good)
        folder = self.workspace / "features" if self.workspace else None
        return set_out(
            self.base, self.snapshot.labels, good, settings, preprocessing(self.base, settings), folder=folder
        )

    def attempt(self, settings: TrainingSettings) -> Attempt:
        """Train with the strategy that the settings name. Raises ConfigurationError and DatasetError."""
        began = now()
        refuse_unfit(settings, self.base)
        course, stem, found = self.begin(settings)
        course.network.heads = heads_for(course, self.snapshot.of("train"), self.snapshot.of("validation", "test"))
        if course.network.heads is not None:
            settings = settings.model_copy(update={"severity_scale": course.network.heads.tasks.severity})
        recipe = recipe_of(settings)
        if recipe is not None and recipe.learns_statistics:
            settle_statistics(course.network, self._some(stem.spec))
        with ranks.leader_first():
            chosen = settings.model_copy(update={"flips": harmless_flips(course, stem, self.snapshot.of("train"))})
            train, validation = self._materials(stem, chosen)
        if chosen.average:
            course = replace(course, looks=FLIPS[chosen.flips])
        checkpoint = self._checkpoint(chosen) if ranks.leads() else None
        taught = course.teach(train, validation, until=self.until, progress=self.progress, checkpoint=checkpoint)
        return Attempt(chosen, course, stem, found, train, validation, taught, now() - began)

    def _some(self, spec: Preprocessing) -> Iterator[Tensor]:
        """Batches of training images as they are."""
        train = self.snapshot.of("train")
        some = train[:: max(1, len(train) // _SETTLED_ON)]
        batches = max(1, len(some) * spec.inputs // _BATCH)
        for start in range(batches):  # classes that follow each other in the manifest are dealt to all batches
            yield load_inputs(some[start::batches], spec)

    def forget(self) -> None:
        """The training is over: its checkpoints go."""
        Checkpoint(self._checkpoints, "").remove()

    @property
    def _checkpoints(self) -> Path:
        return self.out / "checkpoint"

    def key(self, settings: TrainingSettings, **further: Any) -> str:
        """Of everything that decides the weights under these settings, and of `further` values (JSON)."""
        decisive = settings.model_dump(mode="json", exclude={"max_seconds", "yardstick"})
        base = self.base.model_dump(mode="json")
        code, device = [code_version(), code_hash()], device_for(settings.device).type
        return key_of(
            snapshot=self.snapshot.hash, settings=decisive, base=base, code=code, device=device, **further
        )  # fmt: skip

    def _checkpoint(self, settings: TrainingSettings) -> Checkpoint:
        checkpoint = Checkpoint(self._checkpoints / settings.strategy, self.key(settings))
        if not self.resume:
            checkpoint.remove()
        return checkpoint

    def _materials(self, stem: Stem, chosen: TrainingSettings) -> tuple[Material, Material]:
        """Train split under several views, validation split as it is."""
        flips = chosen.flips
        train, validation = self.snapshot.of("train"), self.snapshot.of("validation")
        looks = views(FLIPS[flips], KEPT_VIEWS if stem.cut else _LOOKS_AT_PIXELS)
        donors = Donors(train, stem.spec, good_labels(self.snapshot.labels, chosen.good)) if chosen.graft else None
        if donors is not None and not donors.idle:
            looks = grafting(looks)
        features = stem.features(
            train, looks, flips=FLIPS[flips], donors=donors, progress=self.progress, begin=0.0, end=0.4
        )
        return Material(train, features), Material(validation, stem.features(validation, _PLAIN))


def refuse_unfit(settings: TrainingSettings, base: BaseModel) -> None:
    """Raises ConfigurationError for what no images can make right: a strategy or an input that cannot do what else the
    settings ask for, a device that is not there."""
    device_for(settings.device)
    sized = settings.model_copy(update={"source_size": settings.source_size or (1, 1)})  # known when images are read
    try:
        spec = preprocessing(base, sized)
    except ValidationError as error:
        raise ConfigurationError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error
    refuse_turned(settings.flips, spec.width, spec.height)
    if settings.average and settings.strategy not in PIXELS:
        raise ConfigurationError(
            f"averaging over mirrorings needs a strategy that sees the images anew, not {settings.strategy}: "
            "say --strategy full, or leave --average out"
        )
    if settings.average and settings.tasks:
        raise ConfigurationError("--average is for the class alone: a mirrored image has another box; leave one out")
    if settings.choose_size and settings.tiles is not None:
        raise ConfigurationError(
            "the size of the input and tiles are two answers to small defects: leave --size auto out, or --tiles"
        )
    if settings.tasks and settings.strategy == "probe":
        raise ConfigurationError(
            f"the strategy probe fits the class's head alone, not one for {' and '.join(settings.tasks)}; say "
            "--strategy tail, or full"
        )


def end_of(settings: TrainingSettings, began: float) -> float:
    """When refining ends, so that what comes after it is within `max_seconds`, too (seconds of `trainer.clock`)."""
    return began + 0.85 * settings.max_seconds


def good_labels(labels: Sequence[str], wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """The classes that pass: `wanted`, or those with a usual name. Raises ConfigurationError when none or all do.

    >>> good_labels(["defective", "functional"])
    ('functional',)
    """
    if unknown := sorted(set(wanted) - set(labels)):
        raise ConfigurationError(f"--good {unknown[0]!r} is none of the classes {', '.join(labels)}")
    good = tuple(label for label in labels if (label in wanted if wanted else label.lower() in GOOD_NAMES))
    if not good or len(good) == len(labels):
        raise ConfigurationError(f"which of the classes {', '.join(labels)} is good? Say --good LABEL")
    return good


def preprocessing(base: BaseModel, settings: TrainingSettings) -> Preprocessing:
    """The base model's, with what the settings change."""
    return Preprocessing(
        schema_version=3,
        least_scale=1,
        width=settings.input_width or base.width,
        height=settings.input_height or base.height,
        resize=settings.resize,
        tiles=settings.tiles,
        region_of_interest=settings.region_of_interest,
        region_polygon=settings.region_polygon,
        hidden=settings.hidden,
        source_size=settings.source_size,
        mean=base.mean,
        std=base.std,
    )


def code_version() -> str:
    """Version of the installed distribution."""
    try:
        return version("lineside")
    except PackageNotFoundError:
        return "not installed"
