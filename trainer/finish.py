"""From what a strategy has taught to a run folder: the line is drawn, the test split is read, the record and the card
are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from contracts.bundle import Lineage
from contracts.certificate import TaskMetrics
from contracts.preprocessing import Preprocessing
from contracts.thresholds import Thresholds
from runtime.decision import Rule
from runtime.metrics import task_metrics
from trainer.attempt import Attempt, Task, code_version
from trainer.bases.yardstick import compare_with_random, negative_transfer
from trainer.card.facts import card_of
from trainer.card.file import quality_in, write_card
from trainer.claim import quality
from trainer.clock import now
from trainer.contest import Outcome
from trainer.course import Material, Taught
from trainer.dataset import Example
from trainer.device import device_of
from trainer.evaluate import cannot_promise, intervals, predict
from trainer.evaluation.figures import Answers
from trainer.evaluation.tasks import judge_tasks, weak_tasks
from trainer.forgetting import UNKNOWN, Judge, Kept, forgetting, judge_of, losses_in_words
from trainer.licence import strictest
from trainer.line import draw_line
from trainer.marks import boxes_of
from trainer.network import Network
from trainer.proof import Proof, prove_pinned
from trainer.resolution import too_coarse
from trainer.settings import TrainingSettings
from trainer.sites.by_site import by_site
from trainer.sites.sisters import on_sister, sister_of
from trainer.snapshot import Snapshot
from trainer.stem import Stem
from trainer.threshold import Calibration
from trainer.together import compare_alone
from trainer.trained import RunRecord, TrainedModel, load_run, save_run, save_weights
from trainer.views import View


@dataclass(frozen=True)
class Origin:
    """Whose model it is, what it follows, the order that asked for it, its parent's run where that is there, and what
    was told otherwise than the first training (JSON)."""

    site: str
    product: str = "default"
    parent_bundle: str | None = None
    order_id: str | None = None
    parent: TrainedModel | None = None
    changed: Mapping[str, Any] = field(default_factory=dict)


def finish(task: Task, held: Outcome, origin: Origin, *, began: float, proof: Proof | None = None) -> TrainedModel:
    """The run folder `task.out`. `began` in seconds of `trainer.clock`; `proof`: that nobody trained on this test
    (default: nothing was looked through). Raises ConfigurationError and DatasetError."""
    snapshot, settings = task.snapshot, held.attempt.settings
    course, stem, taught = held.attempt.course, held.attempt.stem, held.attempt.taught
    thresholds, calibration = draw_line(course, stem, taught, snapshot)
    task.progress("testing", 0.92)
    beside, weak = _beside_class(task, held.attempt)
    proven = _proven(proof or prove_pinned(snapshot, None))
    details: dict[str, Any] = {**_details(held, calibration), **proven, **beside}
    if not taught.hurried:  # what the clock had a say in cannot be proved to be what would come out again
        details["key"] = task.key(settings)
    if settings.yardstick and settings.strategy != "scratch":
        details["yardstick"] = _yardstick(task, held.attempt)
    rule = Rule(course.labels, course.good, thresholds)
    judge = Judge(taught.network, stem.spec, calibration.temperature, rule)
    kept, forgot = _kept(task, origin, judge)
    if kept or origin.order_id is not None:
        details["forgetting"] = [each.model_dump(mode="json") for each in kept]
    coarse = too_coarse(snapshot.of("train"), stem.spec, settings.smallest_defect)
    negative = negative_transfer(details.get("yardstick", {}))
    loud = filter(None, [*forgot, *weak, negative, _hurried(taught, settings), coarse, *_idle(held.attempt)])
    answers = _test(taught.network, snapshot, stem.spec, calibration, rule)
    metrics = task_metrics(answers.probabilities, [example.label for example in answers.examples], rule)
    details["intervals"] = {name: each.model_dump() for name, each in intervals(answers).items()}
    if sites := by_site(answers, [example.site for example in snapshot.examples]):
        details["sites"] = [each.model_dump(mode="json") for each in sites]
    promises = (*loud, *cannot_promise(snapshot, metrics, course.good))
    record = _record(task, held.attempt, origin, thresholds, calibration, metrics, promises, details, began=began)
    record = record.model_copy(update={"model_sha256": save_weights(task.out, taught.network)})
    write_card(task.out, card_of(record, snapshot, quality_in(task.out)))
    save_run(task.out, record, taught.rounds)
    task.forget()
    task.progress("done", 1.0, f"{metrics.examples} test images: {quality(metrics, course.good)}")
    return load_run(task.out)


def _kept(task: Task, origin: Origin, judge: Judge) -> tuple[tuple[Kept, ...], list[str]]:
    """What it has kept of its parent and of the sister site on whose release it is built; and what is lost or not
    known, in words."""
    parent = origin.parent
    old = forgetting(parent, judge) if parent else ()
    unknown = [UNKNOWN] if origin.order_id is not None and not old else []
    sister = sister_of(task.base, task.snapshot)
    if sister is None:
        return old, [*losses_in_words(old), *unknown]
    kept = (*old, *on_sister(sister, judge_of(parent.record, parent.module) if parent else None, judge))
    return kept, [*losses_in_words(kept), *unknown, *sister.remarks()]


def _record(
    task: Task, attempt: Attempt, origin: Origin, thresholds: Thresholds, calibration: Calibration,
    metrics: TaskMetrics, cannot: tuple[str, ...], details: dict[str, Any], *, began: float,
) -> RunRecord:  # fmt: skip
    """What the run folder says about the model; the hash of its weights comes when they are written."""
    course, snapshot, network = attempt.course, task.snapshot, attempt.taught.network
    return RunRecord(
        site=origin.site,
        product=origin.product,
        created_at=datetime.now(UTC),
        seconds=now() - began,
        labels=course.labels,
        good_labels=course.good,
        preprocessing=attempt.stem.spec,
        tasks=course.network.heads.tasks if course.network.heads else None,
        thresholds=thresholds,
        temperature=calibration.temperature,
        base_model=task.base,
        embedding_width=network.head.in_features,
        pooling=network.pooling,
        looks=network.looks,
        model_sha256="0" * 64,
        snapshot=snapshot.save(task.workspace or task.out).resolve(),
        licence=strictest([snapshot.licence, task.base.licence]),
        lineage=Lineage(
            snapshot_hash=snapshot.hash,
            split_hash=snapshot.split_hash,
            base_model=task.base.id,
            base_model_licence=task.base.licence.licence,
            base_model_sha256=attempt.base_sha256,
            parent_bundle=origin.parent_bundle,
            order_id=origin.order_id,
            training=attempt.settings.model_dump(mode="json"),
            changed=dict(origin.changed),
            code_version=code_version(),
        ),
        test_metrics=metrics,
        cannot_promise=cannot,
        details=details,
    )


def _proven(proof: Proof) -> dict[str, Any]:
    return {"snapshots_looked_through": proof.looked, "pinned": proof.in_words()}


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


def _idle(attempt: Attempt) -> Iterator[str]:
    """What was asked for and had nothing to work on."""
    if attempt.settings.average and len(attempt.taught.network.looks) == 1:
        yield "No mirroring leaves these parts what they are: there was nothing to average over (--flips names some)."
    if attempt.settings.graft and not any(map(boxes_of, attempt.train.examples)):
        yield "No training image says where its defect is: there was nothing to graft; boxes or masks do."


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


def _test(network: Network, snapshot: Snapshot, spec: Preprocessing, calibration: Calibration, rule: Rule) -> Answers:
    test = snapshot.of("test")
    probabilities = (predict(network, test, spec) / calibration.temperature).softmax(1).numpy()
    return Answers(test, probabilities, rule)


def _details(held: Outcome, calibration: Calibration) -> dict[str, Any]:
    taught = held.attempt.taught
    return {
        "strategy": held.attempt.settings.strategy,
        "contest": {"reasons": held.reasons, "attempts": held.numbers} if held.reasons else None,
        **({"tuning": held.tuning} if held.tuning else {}),
        **({"size": held.size} if held.size else {}),
        "device": str(device_of(taught.network)),
        "head_penalty": taught.penalty,
        "rounds": len(taught.rounds),
        "kept_steps": [tuned.best.step for tuned in taught.rounds],
        "restarts": [f"round {n}: {why}" for n, tuned in enumerate(taught.rounds, 1) for why in tuned.jumps],
        "calibration_shift": calibration.shift,
        "temperature": calibration.temperature,
    }
