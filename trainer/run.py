"""The whole training of one model: snapshot and backbone in, run folder out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from contracts.bundle import Lineage, Preprocessing, TaskMetrics
from contracts.errors import ConfigurationError, DatasetError
from runtime.decision import Rule
from runtime.metrics import task_metrics
from trainer.backbone import BaseModel
from trainer.card import card
from trainer.checkpoint import Checkpoint, key_of
from trainer.course import Course, Material, Taught, set_out
from trainer.evaluate import cannot_promise, predict
from trainer.features import Stem
from trainer.licence import strictest
from trainer.line import draw_line
from trainer.network import Network
from trainer.progress import Progress, silent
from trainer.settings import TrainingSettings
from trainer.snapshot import Snapshot, learned_images, prove_pinned
from trainer.symmetry import harmless_flips
from trainer.threshold import Calibration
from trainer.trained import RunRecord, TrainedModel, load_run, save_run
from trainer.views import FLIPS, View, views
from trainer.workspace import SiteRecord, remember_site
from trainer.yardstick import compare_with_random, negative_transfer

__all__ = ["TrainedModel", "good_labels", "load_run", "train"]

GOOD_NAMES = ("good", "ok", "functional", "free", "normal", "mt_free", "pass", "passed", "healthy", "fine", "intact")
_VIEWS = 5
_PLAIN = (View(0),)


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
) -> TrainedModel:
    """Fine-tune `base_model` on the snapshot's train split and write the run folder `out`.

    The snapshot is saved in `workspace` (default: inside `out`), where a first training also leaves what a later
    `retrain` needs to know. The same arguments give the same model on the same CPU, unless `settings.max_seconds` cut
    it short. With `resume` the finished rounds of a training that was killed in `out` are taken over, if it was of
    exactly this snapshot, base model and settings, and the weights are those of an undisturbed one. Raises
    ConfigurationError and DatasetError.
    """
    began = time.monotonic()
    torch.set_num_threads(settings.threads)
    looked = prove_pinned(snapshot, workspace) if workspace else 0
    course, stem, found = _begin(snapshot, base_model, settings, workspace)
    chosen = settings.model_copy(update={"flips": harmless_flips(course, stem, snapshot.of("train"))})
    train_set, validation = _materials(stem, snapshot, chosen.flips, progress)
    checkpoint = _checkpoint(out, snapshot, chosen, base_model, resume=resume)
    until = began + 0.85 * settings.max_seconds
    taught = course.teach(train_set, validation, until=until, progress=progress, checkpoint=checkpoint)
    thresholds, calibration = draw_line(course, stem, taught, snapshot)
    progress("testing", 0.92)
    details: dict[str, Any] = {**_details(taught, calibration), "snapshots_looked_through": looked}
    if settings.yardstick:
        test_set = Material(snapshot.of("test"), stem.features(snapshot.of("test"), _PLAIN))
        details["yardstick"] = compare_with_random(course, stem, base_model, train_set, validation, test_set)
    loud = filter(None, [negative_transfer(details.get("yardstick", {})), _hurried(taught, settings)])
    metrics = _test(taught.network, snapshot, stem.spec, calibration, Rule(course.labels, course.good, thresholds))
    record = RunRecord(
        site=site,
        product=product,
        created_at=datetime.now(UTC),
        seconds=time.monotonic() - began,
        labels=course.labels,
        good_labels=course.good,
        preprocessing=stem.spec,
        thresholds=thresholds,
        temperature=calibration.temperature,
        base_model=base_model,
        embedding_width=taught.network.head.in_features,
        model_sha256="0" * 64,
        snapshot=snapshot.save(workspace or out).resolve(),
        licence=strictest([snapshot.licence, base_model.licence]),
        lineage=Lineage(
            snapshot_hash=snapshot.hash,
            split_hash=snapshot.split_hash,
            base_model=base_model.id,
            base_model_licence=base_model.licence.licence,
            base_model_sha256=found,
            parent_bundle=parent_bundle,
            order_id=order_id,
            training=chosen.model_dump(mode="json"),
            code_version=code_version(),
        ),
        test_metrics=metrics,
        cannot_promise=(*loud, *cannot_promise(snapshot, metrics, course.good)),
        details=details,
    )
    save_run(out, record, taught.network, taught.rounds, card(record, snapshot))
    checkpoint.remove()
    if workspace is not None and order_id is None:
        remember_site(workspace, SiteRecord(site=site, product=product, base_model=base_model, settings=chosen))
    progress("done", 1.0, f"balanced accuracy {metrics.balanced_accuracy or 0:.3f} on {metrics.examples} test images")
    return load_run(out)


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


def code_version() -> str:
    """Version of the installed distribution."""
    try:
        return version("lineside")
    except PackageNotFoundError:
        return "not installed"


def _begin(
    snapshot: Snapshot, base: BaseModel, settings: TrainingSettings, workspace: Path | None
) -> tuple[Course, Stem, str | None]:
    """The course, the frozen stem and the SHA-256 of the pretrained weights."""
    _refuse_leak(snapshot, base)
    spec = _preprocessing(base, settings)
    good = good_labels(snapshot.labels, settings.good)
    folder = workspace / "features" if workspace else None
    return set_out(base, snapshot.labels, good, settings, spec, folder=folder)


def _hurried(taught: Taught, settings: TrainingSettings) -> str | None:
    if not taught.hurried:
        return None
    return f"The training was cut short by its limit of {settings.max_seconds:g} s (max_seconds): give it more time."


def _checkpoint(
    out: Path, snapshot: Snapshot, settings: TrainingSettings, base: BaseModel, *, resume: bool
) -> Checkpoint:
    decisive = settings.model_dump(mode="json", exclude={"max_seconds", "yardstick"})
    key = key_of(snapshot=snapshot.hash, settings=decisive, base=base.model_dump(mode="json"), code=code_version())
    checkpoint = Checkpoint(out / "checkpoint", key)
    if not resume:
        checkpoint.remove()
    return checkpoint


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


def _materials(stem: Stem, snapshot: Snapshot, flips: str, progress: Progress) -> tuple[Material, Material]:
    """Train split under several views, validation split as it is."""
    train, validation = snapshot.of("train"), snapshot.of("validation")
    features = stem.features(train, views(FLIPS[flips], _VIEWS), progress=progress, begin=0.0, end=0.4)
    return Material(train, features), Material(validation, stem.features(validation, _PLAIN))


def _test(
    network: Network, snapshot: Snapshot, spec: Preprocessing, calibration: Calibration, rule: Rule
) -> TaskMetrics:
    test = snapshot.of("test")
    probabilities = (predict(network, test, spec) / calibration.temperature).softmax(1).numpy()
    return task_metrics(probabilities, [example.label for example in test], rule)


def _details(taught: Taught, calibration: Calibration) -> dict[str, Any]:
    return {
        "head_penalty": taught.penalty,
        "rounds": len(taught.rounds),
        "kept_steps": [tuned.best.step for tuned in taught.rounds],
        "calibration_shift": calibration.shift,
        "temperature": calibration.temperature,
    }


def _preprocessing(base: BaseModel, settings: TrainingSettings) -> Preprocessing:
    return Preprocessing(
        width=settings.input_width or base.width,
        height=settings.input_height or base.height,
        resize=settings.resize,
        region_of_interest=settings.region_of_interest,
        mean=base.mean,
        std=base.std,
    )
