"""What sites can give each other: each model on every site's test, and for one site with its labels the best way to use
what the others have: alone, on top of a sister site's model, or pooled with all of them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError

from contracts.errors import DatasetError
from contracts.names import Name
from runtime.decision import Rule
from trainer.attempt import Task, end_of
from trainer.bases.backbone import BaseModel
from trainer.bases.catalogue import Listed
from trainer.bases.verify import from_run
from trainer.clock import now
from trainer.contest import Outcome, Tried, comparable_losses, shared_images
from trainer.dataset import Example
from trainer.evaluate import predict
from trainer.evaluation import figures
from trainer.evaluation.figures import Answers, estimate
from trainer.evaluation.report import LearningCurve
from trainer.evidence import cheapest
from trainer.finish import Origin, finish
from trainer.memory import kept_memory
from trainer.progress import Progress, silent
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.sites.advice import Advice, Reached, Way
from trainer.sites.gain import Gain, gain_over, label_cost, own_curve
from trainer.sites.recalled import keep_answers, recall, recall_run
from trainer.snapshot import Snapshot
from trainer.split import group_of
from trainer.trained import TrainedModel
from trainer.weighing import condition_of


def sites_of(snapshot: Snapshot, good: Sequence[str]) -> tuple[str, ...]:
    """Raises DatasetError where there is nothing to transfer between, or where a site cannot be learned or judged."""
    sites = tuple(sorted({example.site for example in snapshot.examples}))
    if len(sites) < 2 or "" in sites:
        raise DatasetError("a transfer is between sites: the manifest needs a column `site` with two names at least")
    for site in sites:
        try:
            TypeAdapter(Name).validate_python(site)
        except ValidationError as error:
            raise DatasetError(f"site {site!r}: a name has small letters, digits and hyphens; rename it") from error
        _usable([e for e in snapshot.examples if e.site == site], good, f"site {site}")
    return sites


def _usable(examples: Sequence[Example], good: Sequence[str], what: str) -> None:
    learned = [example for example in examples if example.split in ("train", "validation")]
    if len({example.label in good for example in learned}) < 2 or len({group_of(e) for e in learned}) < 2:
        raise DatasetError(
            f"{what} has {len(learned)} labelled images to learn from in {len({group_of(e) for e in learned})} groups; "
            "good ones and defects are needed, in two groups at least: add images, or raise --labels"
        )
    if all(example.split != "test" for example in examples):
        raise DatasetError(f"{what} has no image in the test split: add some, or choose another --seed")


def source_models(
    snapshot: Snapshot, base: BaseModel, settings: TrainingSettings, out: Path, progress: Progress = silent,
    *, resume: bool = False,
) -> dict[str, TrainedModel]:  # fmt: skip
    """A model of each site, trained on its own images alone, as run folders `out/SITE`. `settings.good` names the
    classes that pass anywhere. With `resume`, runs there of the same images and settings are taken as they are."""
    found = {}
    for site in sites_of(snapshot, settings.good):
        own = Snapshot(tuple(e for e in snapshot.examples if e.site == site), snapshot.licence)
        found[site] = _trained(own, base, settings, out / site, site, progress, resume)
    return found


def pooled_model(
    snapshot: Snapshot, base: BaseModel, settings: TrainingSettings, out: Path, progress: Progress = silent,
    *, resume: bool = False,
) -> TrainedModel:  # fmt: skip
    """One model of all sites, as the run folder `out`."""
    return _trained(snapshot, base, settings, out, "pooled", progress, resume)


def _trained(
    part: Snapshot, base: BaseModel, settings: TrainingSettings, out: Path, site: str, progress: Progress, resume: bool
) -> TrainedModel:
    chosen = _with_good(settings, part)
    task = Task(part, base, out, None, math.inf, resume, progress)
    done = recall_run(task, chosen) if resume else None
    return done or train(part, base, settings=chosen, out=out, site=site, progress=progress, resume=resume)


def _with_good(settings: TrainingSettings, part: Snapshot) -> TrainingSettings:
    return settings.model_copy(update={"good": tuple(name for name in settings.good if name in part.labels)})


def matrix(models: dict[str, TrainedModel], snapshot: Snapshot, good: Sequence[str]) -> dict[str, dict[str, Reached]]:
    """Every model on the test of every site, good against defect: a kind of defect that a model never saw counts."""
    return {source: on_sites(model, snapshot, good)[0] for source, model in models.items()}


def on_sites(model: TrainedModel, snapshot: Snapshot, good: Sequence[str]) -> tuple[dict[str, Reached], Reached]:
    """A model on the test of every site, and on all of them together."""
    record, test = model.record, snapshot.of("test")
    rule = Rule(record.labels, tuple(good), record.thresholds)
    logits = predict(model.module, test, record.preprocessing) / record.temperature
    found = {}
    for site in sorted({example.site for example in test}):
        rows = [row for row, example in enumerate(test) if example.site == site]
        found[site] = _reached(tuple(test[row] for row in rows), logits[rows], rule)
    return found, _reached(test, logits, rule)


@kept_memory()
def advise(
    snapshot: Snapshot, target: str, base: BaseModel, models: dict[str, TrainedModel], *,
    labels: int | None, settings: TrainingSettings, out: Path, progress: Progress = silent, resume: bool = False,
) -> Advice:  # fmt: skip
    """Try every way for `target` with at most `labels` of its labelled images (None: all), and say which to take.

    Of the ways whose held-out loss is within one standard error, over groups, of the lowest the one that learned from
    most: all sites' images, then a sister's weights, then `alone`. Labels cost the same in all of them, and what cannot
    be told apart is steadier with more. A way that is behind by more (negative transfer) is never taken. Each way's
    model is left as a run folder in `out` (`folder_of`); with `resume` those that are there and of the same images and
    settings are taken as they are. Groups that are at another site as well do not count: other ways have seen them
    there. Raises DatasetError where too little is left.
    """
    own = _some(snapshot, target, labels, settings.good)
    others = [
        replace(e, split="validation" if e.split == "validation" else "train")
        for e in snapshot.of("train", "validation")
        if e.site != target
    ]
    plans: list[tuple[str, BaseModel, list[Example]]] = [("alone", base, own)]
    for source, model in models.items():
        if source != target:
            plans.append((f"from {source}", _as_base(model, out / f"{source}.safetensors"), own))
    plans.append(("pooled", base, [*others, *own]))
    attempts: list[Tried] = []
    models_of: list[TrainedModel] = []
    tasks: list[Task] = []
    for name, start, examples in plans:
        progress(f"{target}: {name}", len(attempts) / len(plans))
        part = Snapshot(tuple(examples), snapshot.licence)
        until = end_of(settings, now())
        tasks.append(Task(part, start, out / folder_of(name), None, until=until, resume=resume, progress=silent))
        tried, model = _tried(tasks[-1], _with_good(settings, part), target)
        attempts.append(tried)
        models_of.append(model)
    elsewhere = {group_of(example) for example in snapshot.examples if example.site != target}
    images = shared_images(attempts, lambda e: condition_of(e) == target and group_of(e) not in elsewhere)
    if not images:
        raise DatasetError(f"every group of {target} is at another site, too: nothing tells what is unseen there")
    losses = comparable_losses(attempts, images)
    most_first = [len(plans) - 1, *range(1, len(plans) - 1), 0]
    groups = [group_of(example) for example in images]
    place, behind, error = cheapest([losses[number] for number in most_first], groups)
    number = most_first[place]
    said = [_held_out(*pair, images) for pair in zip(attempts, models_of, strict=True)]
    ways = [
        _way(plan[0], model, answers, float(loss.mean()))
        for plan, model, answers, loss in zip(plans, models_of, said, losses, strict=True)
    ]
    better = f"{behind:.4f} above it, which may be chance ({error:.4f})" if behind > 0 else "the lowest"
    count = sum(example.split != "test" for example in own)
    learned = f"of such ways it learned from most ({len(images)} images of {target})"
    why = f"{ways[number].name}: held-out loss {better}; {learned}"
    labelled = [example for example in snapshot.of("train", "validation") if example.site == target]
    curve = own_curve(tasks[0], _with_good(settings, tasks[0].snapshot), labelled, attempts[0].taught.penalty)
    gains = [gain_over((said[0], losses[0]), pair) for pair in zip(said[1:], losses[1:], strict=True)]
    worth = [ways[0], *(_worth(way, gain, curve, count) for way, gain in zip(ways[1:], gains, strict=True))]
    return Advice(
        target=target, labels=count, ways=tuple(worth), chosen=ways[number].name, why=why, curve=curve, folder=str(out)
    )


def _tried(task: Task, settings: TrainingSettings, target: str) -> tuple[Tried, TrainedModel]:
    """The way carried out, or taken as it lies there."""
    if task.resume and (done := recall(task, settings)) is not None:
        return done
    began = now()
    attempt = task.attempt(settings)
    model = finish(task, Outcome(attempt), Origin(target), began=began)
    keep_answers(model, attempt.taught)
    return attempt, model


def _worth(way: Way, gain: Gain, curve: LearningCurve | None, labels: int) -> Way:
    cost = label_cost(curve, labels, gain.balanced_accuracy) if curve else None
    return way.model_copy(update={"gain": gain, "cost": cost})


def folder_of(way: str) -> str:
    """Name of the run folder of a way."""
    return way.replace(" ", "-")


def _some(snapshot: Snapshot, target: str, labels: int | None, good: Sequence[str]) -> list[Example]:
    """The target's images with its site as their condition: `labels` of them drawn at random, as an order would draw
    them on the line, and the test. Who has more labels has these among them."""
    own = [replace(e, attributes={**e.attributes, "order": target}) for e in snapshot.examples if e.site == target]
    labelled = [example for example in own if example.split in ("train", "validation")]
    order = sorted(example.sha256 for example in labelled)
    random.Random(0).shuffle(order)
    kept = set(order[:labels])
    found = [*(e for e in labelled if e.sha256 in kept), *(e for e in own if e.split == "test")]
    _usable(found, good, f"{target} with {labels} labels")
    return found


def _as_base(model: TrainedModel, weights: Path) -> BaseModel:
    entry = from_run(model.folder, model.record.site, weights, reviewer="", today=datetime.now(UTC).date())
    return Listed(entry, weights.parent).base_model(weights)


def _held_out(attempt: Tried, model: TrainedModel, images: Sequence[Example]) -> Answers:
    """Answers to held-out images, as the model would give and judge them."""
    record, taught = model.record, attempt.taught
    rule = Rule(record.labels, record.good_labels, record.thresholds)
    row = {example.sha256: number for number, example in enumerate(taught.held_out)}
    logits = taught.logits[[row[image.sha256] for image in images]] / record.temperature
    return Answers(tuple(images), logits.double().softmax(1).numpy(), rule)


def _way(name: str, model: TrainedModel, said: Answers, loss: float) -> Way:
    record, test = model.record, model.snapshot.of("test")
    logits = predict(model.module, test, record.preprocessing) / record.temperature
    return Way(
        name=name,
        images=len(model.snapshot.of("train", "validation")),
        seconds=record.seconds,
        held_out_loss=loss,
        held_out_auroc=figures.area(said, np.arange(len(said.examples))),
        test=_reached(test, logits, said.rule),
    )


def _reached(test: tuple[Example, ...], logits: torch.Tensor, rule: Rule) -> Reached:
    answers = Answers(test, logits.double().softmax(1).numpy(), rule)
    return Reached(
        balanced_accuracy=estimate(answers, figures.balanced_accuracy),
        auroc=estimate(answers, figures.area),
        images=len(test),
    )
