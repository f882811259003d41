"""A run folder: what training leaves behind and everything that the exporter needs.

`model.safetensors` (the state of `network.Network`), `run.json` (`RunRecord`), `metrics.json`, `curves.csv`; what has
to be known of it in `card.json` and `card.md` (see `card`).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from safetensors.torch import load_file, save_file
from torch import nn

from contracts.bundle import Licence, Lineage
from contracts.certificate import TaskMetrics
from contracts.errors import ConfigurationError
from contracts.names import Label, Moment, Name, Sha256, Wire
from contracts.preprocessing import Preprocessing
from contracts.tasks import Tasks
from contracts.thresholds import Thresholds
from trainer.bases.backbone import BaseModel, load_base_model, sha256_of
from trainer.network import Network, Pooling
from trainer.rounds.kept import Tuned
from trainer.snapshot import Snapshot, load_snapshot
from trainer.views import AS_IT_IS, Flip

RUN_NAME = "run.json"
MODEL_NAME = "model.safetensors"


class RunRecord(Wire):
    """`run.json`. Serves `runtime.decision` as its decision rule (labels, good_labels, thresholds)."""

    schema_version: Literal[1] = 1
    site: Name
    product: Name = "default"
    created_at: Moment
    seconds: float = Field(ge=0.0, description="wall time of the training")
    labels: tuple[Label, ...] = Field(min_length=2, description="order of the logits")
    good_labels: tuple[Label, ...] = Field(min_length=1)
    preprocessing: Preprocessing
    thresholds: Thresholds
    temperature: float = Field(default=1.0, gt=0.0, description="logits are divided by it before the softmax")
    tasks: Tasks | None = Field(default=None, description="what the network answers beside the class")
    base_model: BaseModel = Field(description="architecture of the network; its weights are not needed any more")
    embedding_width: int = Field(ge=1)
    pooling: Pooling = Field(default="mean", description="of the last maps over each input")
    looks: tuple[Flip, ...] = Field(default=AS_IT_IS, description="mirrorings over which the network averages")
    model_sha256: Sha256
    snapshot: Path = Field(description="folder of the snapshot")
    licence: Licence
    lineage: Lineage
    test_metrics: TaskMetrics = Field(description="of the float model on the pinned test split")
    cannot_promise: tuple[str, ...] = Field(default=(), description="plain sentences, for the card and the page")
    details: dict[str, Any] = Field(default={}, description="how settings were chosen, yardsticks")


@dataclass(frozen=True)
class TrainedModel:
    """A run folder, opened. `module(x [b, 3, h, w]) -> (logits [b, k], embedding [b, d])`, in eval mode."""

    folder: Path
    record: RunRecord
    module: nn.Module
    snapshot: Snapshot


def save_weights(folder: Path, module: Network) -> str:
    """Write the weights, the first file of a run; returns their SHA-256, which the record names."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in module.state_dict().items()}, folder / MODEL_NAME)
    return sha256_of(folder / MODEL_NAME)


def save_run(folder: Path, record: RunRecord, rounds: Sequence[Tuned]) -> None:
    """Write figures and record; the record last, so that a folder with `run.json` is complete."""
    (folder / "metrics.json").write_text(_metrics(record), encoding="utf-8")
    _write_curves(folder / "curves.csv", rounds)
    (folder / RUN_NAME).write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")


def load_run(folder: Path) -> TrainedModel:
    """The run in `folder`. Raises ConfigurationError when it is incomplete or its model was changed, DatasetError when
    an image of its snapshot was."""
    record, module = load_model(folder)
    return TrainedModel(folder, record, module, load_snapshot(record.snapshot))


def load_model(folder: Path) -> tuple[RunRecord, nn.Module]:
    """A run without its images, which may be gone. Raises ConfigurationError as `load_run` does."""
    record = _record(folder)
    if (found := sha256_of(folder / MODEL_NAME)) != record.model_sha256:
        raise ConfigurationError(f"{folder / MODEL_NAME} has SHA-256 {found}, the run says {record.model_sha256}")
    backbone, _ = load_base_model(record.base_model.model_copy(update={"weights": None}))
    good = [label in record.good_labels for label in record.labels]
    module = Network(
        backbone, len(record.labels), inputs=record.preprocessing.inputs, good=good, looks=record.looks,
        tasks=record.tasks, pooling=record.pooling,
    )  # fmt: skip
    module.load_state_dict(load_file(folder / MODEL_NAME))
    return record, module.eval()


def _record(folder: Path) -> RunRecord:
    """`run.json`; what is not there is named with where it comes from."""
    try:
        return RunRecord.model_validate_json((folder / RUN_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        what = f"has no {RUN_NAME}" if folder.is_dir() else "is not there"
        raise ConfigurationError(
            f"{folder} is not a finished training run: it {what}; name the folder that `lineside train --out` was "
            "given, once it is through"
        ) from error
    except OSError as error:
        raise ConfigurationError(f"{folder / RUN_NAME} cannot be read: {error.strerror}; look at its rights") from error
    except ValidationError as error:
        raise ConfigurationError(f"{folder} is not a finished training run: {error}") from error


def _metrics(record: RunRecord) -> str:
    values = {
        "seconds": record.seconds,
        "test": record.test_metrics.model_dump(mode="json"),
        "cannot_promise": record.cannot_promise,
        **record.details,
    }
    return json.dumps(values, indent=1) + "\n"


def _write_curves(path: Path, rounds: Sequence[Tuned]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("round", "step", "loss", "held_out_loss", "kept", "pace"))
        for number, tuned in enumerate(rounds, start=1):
            for check in tuned.checks:
                kept = int(check is tuned.best)
                writer.writerow((number, check.step, check.loss, check.held_out_loss, kept, check.pace))
