"""A finished training that need not be done again: its run, and what its rounds said to the images they left out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import cast

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from contracts.errors import ConfigurationError, DatasetError
from trainer.attempt import Task
from trainer.course import Course, Taught
from trainer.network import Network
from trainer.settings import TrainingSettings
from trainer.trained import TrainedModel, load_run

_ANSWERS = "held_out.safetensors"


@dataclass(frozen=True)
class Recalled:
    """What a finished training has taught, as far as it can be compared with others."""

    course: Course
    taught: Taught


def recall_run(task: Task, asked: TrainingSettings) -> TrainedModel | None:
    """The finished run in `task.out`, where it says by its key that it is of exactly this snapshot, base model, code
    and these settings; None where it must be trained. One that the clock has cut short has no key."""
    try:
        model = load_run(task.out)
        chosen = TrainingSettings.model_validate(model.record.lineage.training)
    except (ConfigurationError, DatasetError, ValidationError):
        return None
    left_open = {"flips": chosen.flips} if asked.flips == "auto" else {}
    return model if model.record.details.get("key") == task.key(asked.model_copy(update=left_open)) else None


def keep_answers(model: TrainedModel, taught: Taught) -> None:
    """Leave the answers to held-out images beside a run that has a key."""
    if key := model.record.details.get("key"):
        images = json.dumps([example.sha256 for example in taught.held_out])
        logits = {"logits": taught.logits.contiguous()}
        save_file(logits, model.folder / _ANSWERS, metadata={"key": key, "images": images})


def recall(task: Task, asked: TrainingSettings) -> tuple[Recalled, TrainedModel] | None:
    """The run as `recall_run` finds it, with the answers that `keep_answers` left; None where either is missing."""
    model = recall_run(task, asked)
    if model is None:
        return None
    try:
        with safe_open(model.folder / _ANSWERS, framework="pt") as file:
            about, logits = file.metadata(), file.get_tensor("logits")
    except (OSError, SafetensorError):
        return None
    known = {example.sha256: example for example in task.snapshot.of("train", "validation")}
    images = json.loads(about["images"])
    if about["key"] != model.record.details["key"] or not set(images) <= known.keys():
        return None
    course, _, _ = task.begin(TrainingSettings.model_validate(model.record.lineage.training))
    penalty = float(model.record.details["head_penalty"])
    taught = Taught(cast(Network, model.module), tuple(known[image] for image in images), logits, penalty, ())
    return Recalled(course, taught), model
