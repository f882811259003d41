"""The whole training of one model: snapshot and backbone in, run folder out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch import Tensor

from contracts.bundle import Lineage, Preprocessing, Thresholds
from contracts.errors import ConfigurationError
from runtime.decision import Rule
from runtime.metrics import task_metrics
from trainer.backbone import BaseModel, load_base_model
from trainer.head import fit_head
from trainer.image import as_input, load_images
from trainer.licence import strictest
from trainer.network import Network, embedding_width
from trainer.progress import Progress, silent
from trainer.settings import TrainingSettings
from trainer.snapshot import Snapshot
from trainer.trained import RunRecord, TrainedModel, load_run, save_run
from trainer.workspace import SiteRecord, remember_site

__all__ = ["TrainedModel", "good_labels", "load_run", "train"]

GOOD_NAMES = ("good", "ok", "functional", "free", "normal", "mt_free", "pass", "passed", "healthy", "fine", "intact")


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
) -> TrainedModel:
    """Fine-tune `base_model` on the snapshot's train split and write the run folder `out`.

    The snapshot is saved in `workspace` (default: inside `out`), where a first training also leaves what a later
    `retrain` needs to know. Raises ConfigurationError and DatasetError."""
    began = time.monotonic()
    torch.set_num_threads(settings.threads)
    labels = snapshot.labels
    good = good_labels(labels, settings.good)
    spec = _preprocessing(base_model, settings)
    backbone, found = load_base_model(base_model, seed=settings.seed)
    network = Network(backbone, len(labels)).eval()
    progress("reading images", 0.05)
    train_set, test_set = snapshot.of("train"), snapshot.of("test")
    embeddings = _embed(network, load_images(train_set, spec), spec)
    targets = torch.nn.functional.one_hot(torch.tensor([labels.index(e.label) for e in train_set]), len(labels)).float()
    weights = targets @ (1.0 / targets.sum(0)) * len(train_set) / len(labels)
    head = fit_head(embeddings, targets, weights, penalty=0.01)
    network.centre.copy_(head.centre)
    network.scale.copy_(head.scale)
    network.head.weight.data.copy_(head.weight)
    network.head.bias.data.copy_(head.bias)
    thresholds = Thresholds(ng=0.5, review_from=0.5)
    with torch.inference_mode():
        logits = network.classify(_embed(network, load_images(test_set, spec), spec))
    rule = Rule(labels, good, thresholds)
    metrics = task_metrics(logits.softmax(1).numpy(), [e.label for e in test_set], rule)
    record = RunRecord(
        site=site, product=product, created_at=datetime.now(UTC), seconds=time.monotonic() - began,
        labels=labels, good_labels=good, preprocessing=spec, thresholds=thresholds, base_model=base_model,
        embedding_width=embedding_width(backbone), model_sha256="0" * 64,
        snapshot=snapshot.save(workspace or out).resolve(),
        licence=strictest([snapshot.licence, base_model.licence]), test_metrics=metrics,
        lineage=Lineage(
            snapshot_hash=snapshot.hash, split_hash=snapshot.split_hash, base_model=base_model.id,
            base_model_licence=base_model.licence.licence, base_model_sha256=found, parent_bundle=parent_bundle,
            order_id=order_id, training=settings.model_dump(mode="json"), code_version=code_version(),
        ),
    )  # fmt: skip
    save_run(out, record, network)
    if workspace is not None and order_id is None:
        remember_site(workspace, SiteRecord(site=site, product=product, base_model=base_model, settings=settings))
    progress("done", 1.0)
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


def _preprocessing(base: BaseModel, settings: TrainingSettings) -> Preprocessing:
    return Preprocessing(
        width=settings.input_width or base.width,
        height=settings.input_height or base.height,
        resize=settings.resize,
        region_of_interest=settings.region_of_interest,
        mean=base.mean,
        std=base.std,
    )


def _embed(network: Network, images: Tensor, spec: Preprocessing) -> Tensor:
    with torch.inference_mode():
        parts = [network(as_input(batch, spec))[1] for batch in torch.split(images, 16)]
    return torch.cat(parts)
