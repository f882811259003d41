"""What sites can give each other: each model on every site's test, and for one site with its labels the best way to use
what the others have: alone, on top of a sister site's model, or pooled with all of them."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from pydantic import Field

from contracts.errors import DatasetError
from contracts.names import Wire
from runtime.decision import Rule
from trainer.attempt import Attempt, Task
from trainer.backbone import BaseModel
from trainer.catalogue import Listed
from trainer.contest import held_out_losses, standard_error
from trainer.dataset import Example
from trainer.evaluate import predict
from trainer.evaluation import figures
from trainer.evaluation.figures import Answers, estimate
from trainer.evaluation.report import Estimate
from trainer.line import draw_line
from trainer.progress import Progress, silent
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.snapshot import Snapshot
from trainer.split import group_of
from trainer.trained import TrainedModel
from trainer.verify import from_run
from trainer.weighing import condition_of


class Reached(Wire):
    """On the test images of one site."""

    balanced_accuracy: Estimate
    auroc: Estimate


class Way(Wire):
    """One way to a model for the target. `held_out_loss` is of the target's own labelled images, each answered by a
    network that had not seen it; it decides. `test` is read once and decides nothing."""

    name: str
    images: int = Field(ge=0, description="learned from")
    seconds: float = Field(ge=0.0)
    held_out_loss: float
    held_out_auroc: float | None
    test: Reached


class Advice(Wire):
    """For one target with that many labels."""

    target: str
    labels: int
    ways: tuple[Way, ...]
    chosen: str
    why: str


class TransferReport(Wire):
    """`transfer.json`. `matrix[source][target]`: the model of one site as it is, on another's test."""

    schema_version: int = 1
    matrix: dict[str, dict[str, Reached]]
    advice: tuple[Advice, ...]


def sites_of(snapshot: Snapshot) -> tuple[str, ...]:
    """Raises DatasetError where there is nothing to transfer between."""
    sites = tuple(sorted({example.site for example in snapshot.examples}))
    if len(sites) < 2 or "" in sites:
        raise DatasetError("a transfer is between sites: the manifest needs a column `site` with two names at least")
    return sites


def source_models(
    snapshot: Snapshot, base: BaseModel, settings: TrainingSettings, out: Path, progress: Progress = silent
) -> dict[str, TrainedModel]:
    """A model of each site, trained on its own images alone, as run folders `out/SITE`."""
    found = {}
    for site in sites_of(snapshot):
        own = Snapshot(tuple(e for e in snapshot.examples if e.site == site), snapshot.licence)
        found[site] = train(own, base, settings=settings, out=out / site, site=site, progress=progress)
    return found


def matrix(models: dict[str, TrainedModel], snapshot: Snapshot) -> dict[str, dict[str, Reached]]:
    """Every model on the test of every site."""
    found: dict[str, dict[str, Reached]] = {}
    for source, model in models.items():
        record = model.record
        rule = Rule(record.labels, record.good_labels, record.thresholds)
        found[source] = {}
        for target in models:
            test = tuple(e for e in snapshot.of("test") if e.site == target and e.label in record.labels)
            logits = predict(model.module, test, record.preprocessing) / record.temperature
            found[source][target] = _reached(test, logits, rule)
    return found


def advise(
    snapshot: Snapshot, target: str, base: BaseModel, models: dict[str, TrainedModel], *,
    labels: int | None, settings: TrainingSettings, out: Path, progress: Progress = silent,
) -> Advice:  # fmt: skip
    """Try every way for `target` with at most `labels` of its labelled images (None: all), and say which to take.

    The cheapest way whose held-out loss is within one standard error, over groups, of the lowest; but never one that
    is behind `alone` (negative transfer).
    """
    own = _some(snapshot, target, labels)
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
    attempts: list[Attempt] = []
    ways: list[Way] = []
    for name, start, examples in plans:
        progress(f"{target}: {name}", len(ways) / len(plans))
        began = time.monotonic()
        part = Snapshot(tuple(examples), snapshot.licence)
        task = Task(part, start, out / name.replace(" ", "-"), None, math.inf, False, silent)
        attempt = task.attempt(settings)
        ways.append(_way(name, attempt, part, target, time.monotonic() - began))
        attempts.append(attempt)
    chosen, why = _choose(attempts, ways, target)
    count = sum(example.split != "test" for example in own)
    return Advice(target=target, labels=count, ways=tuple(ways), chosen=ways[chosen].name, why=why)


def _some(snapshot: Snapshot, target: str, labels: int | None) -> list[Example]:
    """The target's images with its site as their condition: whole groups until there are `labels`, and the test."""
    own = [replace(e, attributes={**e.attributes, "order": target}) for e in snapshot.examples if e.site == target]
    labelled = [example for example in own if example.split in ("train", "validation")]
    groups = sorted({group_of(example) for example in labelled})
    random.Random(0).shuffle(groups)
    sizes = [sum(group_of(example) == group for example in labelled) for group in groups]
    reached = np.cumsum(sizes)
    kept = set(groups if labels is None else [g for g, total in zip(groups, reached, strict=True) if total <= labels])
    return [*(e for e in labelled if group_of(e) in kept), *(e for e in own if e.split == "test")]


def _as_base(model: TrainedModel, weights: Path) -> BaseModel:
    entry = from_run(model.folder, model.record.site, weights, reviewer="", today=datetime.now(UTC).date())
    return Listed(entry, weights.parent).base_model(weights)


def _way(name: str, attempt: Attempt, part: Snapshot, target: str, seconds: float) -> Way:
    course, taught = attempt.course, attempt.taught
    thresholds, calibration = draw_line(course, attempt.stem, taught, part)
    rule = Rule(course.labels, course.good, thresholds)
    test = part.of("test")
    logits = predict(taught.network, test, attempt.stem.spec) / calibration.temperature
    rows = [row for row, example in enumerate(taught.held_out) if condition_of(example) == target]
    held_out = Answers(
        tuple(taught.held_out[row] for row in rows), taught.logits[rows].double().softmax(1).numpy(), rule
    )
    return Way(
        name=name,
        images=len(part.of("train", "validation")),
        seconds=seconds,
        held_out_loss=float(held_out_losses(attempt)[rows].mean()),
        held_out_auroc=figures.area(held_out, np.arange(len(rows))),
        test=_reached(test, logits, rule),
    )


def _reached(test: tuple[Example, ...], logits: torch.Tensor, rule: Rule) -> Reached:
    answers = Answers(test, logits.double().softmax(1).numpy(), rule)
    return Reached(
        balanced_accuracy=estimate(answers, figures.balanced_accuracy), auroc=estimate(answers, figures.area)
    )


def _choose(attempts: Sequence[Attempt], ways: Sequence[Way], target: str) -> tuple[int, str]:
    """By the losses on the target's own images, which every way has held out."""
    losses = []
    for attempt in attempts:
        found = zip(attempt.taught.held_out, held_out_losses(attempt), strict=True)
        losses.append({example.sha256: loss for example, loss in found if condition_of(example) == target})
    shared = sorted(set.intersection(*(set(loss) for loss in losses)))
    group = {example.sha256: group_of(example) for example in attempts[0].taught.held_out}
    values = [torch.stack([loss[image] for image in shared]) for loss in losses]
    best = min(range(len(values)), key=lambda number: float(values[number].mean()))
    for number, value in enumerate(values):
        behind = value - values[best]
        error = standard_error(behind, [group[image] for image in shared])
        harmless = number == 0 or float((value - values[0]).mean()) <= 0
        if number == best or (float(behind.mean()) <= error and harmless):
            gain = float((values[0] - value).mean())
            better = f"held-out loss {gain:.4f} below alone's"
            why = better if number else "nothing else is better by one standard error"
            return number, f"{ways[number].name}: {why} ({len(shared)} images of {target})"
    raise AssertionError("the best one is within its own error")
