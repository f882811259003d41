"""The whole training of one model: snapshot and backbone in, run folder out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from contracts.bundle import Lineage, Preprocessing, TaskMetrics
from contracts.errors import ConfigurationError, DatasetError
from runtime.decision import Rule
from runtime.metrics import task_metrics
from trainer.attempt import Attempt, Task, code_version, good_labels, preprocessing, refuse_unfit
from trainer.bases.backbone import BaseModel
from trainer.bases.yardstick import compare_with_random, negative_transfer
from trainer.card import card
from trainer.contest import Outcome, contest
from trainer.course import Material, Taught
from trainer.dataset import Example
from trainer.device import device_of
from trainer.evaluate import cannot_promise, predict
from trainer.evaluation.tasks import judge_tasks, weak_tasks
from trainer.features import Stem
from trainer.forgetting import UNKNOWN, Judge, forgetting, losses_in_words
from trainer.licence import strictest
from trainer.line import draw_line
from trainer.memory import kept_memory
from trainer.network import Network
from trainer.progress import Progress, silent
from trainer.resolution import fitting_tiles, too_coarse, usual_size
from trainer.rounds import ranks
from trainer.settings import TrainingSettings
from trainer.snapshot import Snapshot, learned_images, prove_pinned
from trainer.threshold import Calibration
from trainer.together import compare_alone
from trainer.trained import RunRecord, TrainedModel, load_run, save_run
from trainer.views import View
from trainer.workspace import SiteRecord, remember_model, remember_site

__all__ = ["TrainedModel", "good_labels", "load_run", "train"]


@kept_memory()
def train(
    snapshot: Snapshot,
    base_model: BaseModel,
    *,
    settings: TrainingSettings,
    out: Path,
    progress: Progress = silent,
    site: str = "site",
    product: str = "default",
    workspace: Path | None = None,
    parent_bundle: str | None = None,
    order_id: str | None = None,
    resume: bool = False,
    trials: int = 0,
    parent: TrainedModel | None = None,
) -> TrainedModel:
    """Fine-tune `base_model` on the snapshot's train split and write the run folder `out`.

    The snapshot is saved in `workspace` (default: inside `out`), where a first training also leaves what a later
    `retrain` needs to know. The same arguments give the same model on the same CPU, unless `settings.max_seconds` cut
    it short. With `resume` the finished rounds of a training that was killed in `out` are taken over, if it was of
    exactly this snapshot, base model and settings, and the weights are those of an undisturbed one. `trials` other
    values of the recipe are tried in the time that is left (see `tuning`); what the model has forgotten is measured
    against its `parent`. Raises ConfigurationError and DatasetError.
    """
    began = time.monotonic()
    torch.set_num_threads(settings.threads)
    ranks.refuse_together(settings, trials=trials, resume=resume)
    _refuse_leak(snapshot, base_model)
    refuse_unfit(settings)
    settings = _for_these_images(settings, base_model, snapshot)
    looked = prove_pinned(snapshot, workspace) if workspace else 0
    until = began + 0.85 * settings.max_seconds
    task = Task(snapshot, base_model, out, workspace, until=until, resume=resume, progress=progress)
    held = contest(task, settings) if settings.strategy == "auto" else Outcome(task.attempt(settings))
    held = _tuned(task, held, trials) if trials else held
    if not ranks.leads():
        ranks.wait()
        return load_run(out)
    origin = Origin(site, product, parent_bundle, order_id, parent)
    model = finish(task, held, origin, began=began, looked=looked)
    if workspace is not None:
        remember_model(workspace, model)
    if workspace is not None and order_id is None:
        remember_site(
            workspace, SiteRecord(site=site, product=product, base_model=base_model, settings=held.attempt.settings)
        )
    ranks.wait()
    return model


def _tuned(task: Task, held: Outcome, trials: int) -> Outcome:
    from trainer.tuning import search  # Optuna takes half a second to import, which others need not wait for

    return search(task, held, trials=trials)


@dataclass(frozen=True)
class Origin:
    """Whose model it is, what it follows, the order that asked for it, and its parent's run where that is there."""

    site: str
    product: str = "default"
    parent_bundle: str | None = None
    order_id: str | None = None
    parent: TrainedModel | None = None


def finish(task: Task, held: Outcome, origin: Origin, *, began: float, looked: int = 0) -> TrainedModel:
    """From what a strategy has taught to a run folder `task.out`: the line is drawn, the test split is read, the record
    and the card are written. `began` in seconds of `time.monotonic`; `looked`: snapshots that were searched for images
    of this test. Raises ConfigurationError and DatasetError."""
    snapshot, settings, progress = task.snapshot, held.attempt.settings, task.progress
    course, stem, taught = held.attempt.course, held.attempt.stem, held.attempt.taught
    thresholds, calibration = draw_line(course, stem, taught, snapshot)
    progress("testing", 0.92)
    beside, weak = _beside_class(task, held.attempt)
    details: dict[str, Any] = {**_details(held, calibration), "snapshots_looked_through": looked, **beside}
    if settings.yardstick and settings.strategy != "scratch":
        details["yardstick"] = _yardstick(task, held.attempt)
    rule = Rule(course.labels, course.good, thresholds)
    judge = Judge(taught.network, stem.spec, calibration.temperature, rule)
    kept = forgetting(origin.parent, judge) if origin.parent else ()
    if origin.order_id is not None:
        details["forgetting"] = [each.model_dump(mode="json") for each in kept]
    coarse = too_coarse(snapshot.of("train"), stem.spec, settings.smallest_defect)
    forgot = losses_in_words(kept) if kept or origin.order_id is None else [UNKNOWN]
    negative = negative_transfer(details.get("yardstick", {}))
    loud = filter(None, [*forgot, *weak, negative, _hurried(taught, settings), coarse, _one_look(taught, settings)])
    metrics = _test(taught.network, snapshot, stem.spec, calibration, rule)
    record = RunRecord(
        site=origin.site,
        product=origin.product,
        created_at=datetime.now(UTC),
        seconds=time.monotonic() - began,
        labels=course.labels,
        good_labels=course.good,
        preprocessing=stem.spec,
        tasks=course.network.heads.tasks if course.network.heads else None,
        thresholds=thresholds,
        temperature=calibration.temperature,
        base_model=task.base,
        embedding_width=taught.network.head.in_features,
        looks=taught.network.looks,
        model_sha256="0" * 64,
        snapshot=snapshot.save(task.workspace or task.out).resolve(),
        licence=strictest([snapshot.licence, task.base.licence]),
        lineage=Lineage(
            snapshot_hash=snapshot.hash,
            split_hash=snapshot.split_hash,
            base_model=task.base.id,
            base_model_licence=task.base.licence.licence,
            base_model_sha256=held.attempt.base_sha256,
            parent_bundle=origin.parent_bundle,
            order_id=origin.order_id,
            training=settings.model_dump(mode="json"),
            code_version=code_version(),
        ),
        test_metrics=metrics,
        cannot_promise=(*loud, *cannot_promise(snapshot, metrics, course.good)),
        details=details,
    )
    save_run(task.out, record, taught.network, taught.rounds, card(record, snapshot, kept))
    task.forget()
    progress("done", 1.0, f"balanced accuracy {metrics.balanced_accuracy or 0:.3f} on {metrics.examples} test images")
    return load_run(task.out)


def _for_these_images(settings: TrainingSettings, base: BaseModel, snapshot: Snapshot) -> TrainingSettings:
    """With what the size of the images decides: for which size areas are named, and tiles in which the smallest defect
    is large enough, where one is named and no tiles are. Raises ConfigurationError for an area outside the images."""
    areas = (*settings.hidden, *filter(None, [settings.region_polygon]))
    if not areas and settings.smallest_defect is None:
        return settings
    size = usual_size(snapshot.of("train"))
    if areas:
        for x, y in (corner for area in areas for corner in area):
            if not (0 <= x <= size[0] and 0 <= y <= size[1]):
                raise ConfigurationError(
                    f"the corner {x:g},{y:g} lies outside the images of {size[0]} x {size[1]} pixels"
                )
        settings = settings.model_copy(update={"source_size": size})
    if settings.smallest_defect is None or settings.tiles is not None:
        return settings
    tiles = fitting_tiles(settings.smallest_defect, size, preprocessing(base, settings))
    return settings.model_copy(update={"tiles": tiles})


def _hurried(taught: Taught, settings: TrainingSettings) -> str | None:
    if not taught.hurried:
        return None
    return f"The training was cut short by its limit of {settings.max_seconds:g} s (max_seconds): give it more time."


def _beside_class(task: Task, attempt: Attempt) -> tuple[dict[str, Any], list[str]]:
    """Of the tasks beside the class: figures for the details, and what has to be said loudly."""
    figures = judge_tasks(attempt.taught.network, task.snapshot, attempt.stem.spec, attempt.course.good)
    if figures is None:
        return {}, []
    comparisons = compare_alone(task, attempt) if attempt.settings.compare_tasks else []
    found: dict[str, Any] = {"tasks": figures.model_dump(mode="json")}
    if comparisons:
        found["tasks_alone"] = {item.name: item.figures() for item in comparisons}
    return found, [*weak_tasks(figures), *(item.sentence() for item in comparisons if item.worse)]


def _one_look(taught: Taught, settings: TrainingSettings) -> str | None:
    if not settings.average or len(taught.network.looks) > 1:
        return None
    return "No mirroring leaves these parts what they are: there was nothing to average over (--flips names some)."


def _refuse_leak(snapshot: Snapshot, base: BaseModel) -> None:
    """A base model that has learned images of this test would make the test too kind."""
    if base.snapshot is None:
        return
    known = learned_images(base.snapshot)
    if leaked := [example for example in snapshot.of("test", "gate") if example.sha256 in known]:
        raise DatasetError(
            f"the base model {base.id} was trained on {len(leaked)} images of this test split (first: "
            f"{leaked[0].path}); start from its snapshot, so that its split stays, or from another base model"
        )


def _yardstick(task: Task, attempt: Attempt) -> dict[str, Any]:
    """Frozen features, pretrained against random. Where the attempt trained everything, the network is made anew as it
    was before."""
    course, stem, train, validation = attempt.course, attempt.stem, attempt.train, attempt.validation
    if stem.cut == 0:
        course, stem, _ = task.begin(attempt.settings.model_copy(update={"strategy": "probe"}))
        train, validation = (_plain(stem, part.examples) for part in (train, validation))
    test = _plain(stem, task.snapshot.of("test"))
    return compare_with_random(course, stem, task.base, train, validation, test)


def _plain(stem: Stem, examples: tuple[Example, ...]) -> Material:
    return Material(examples, stem.features(examples, (View(0),)))


def _test(
    network: Network, snapshot: Snapshot, spec: Preprocessing, calibration: Calibration, rule: Rule
) -> TaskMetrics:
    test = snapshot.of("test")
    probabilities = (predict(network, test, spec) / calibration.temperature).softmax(1).numpy()
    return task_metrics(probabilities, [example.label for example in test], rule)


def _details(held: Outcome, calibration: Calibration) -> dict[str, Any]:
    taught = held.attempt.taught
    return {
        "strategy": held.attempt.settings.strategy,
        "contest": {"reasons": held.reasons, "attempts": held.numbers} if held.reasons else None,
        **({"tuning": held.tuning} if held.tuning else {}),
        "device": str(device_of(taught.network)),
        "head_penalty": taught.penalty,
        "rounds": len(taught.rounds),
        "kept_steps": [tuned.best.step for tuned in taught.rounds],
        "restarts": [f"round {n}: {why}" for n, tuned in enumerate(taught.rounds, 1) for why in tuned.jumps],
        "calibration_shift": calibration.shift,
        "temperature": calibration.temperature,
    }
