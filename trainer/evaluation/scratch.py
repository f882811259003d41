"""What the pretrained weights and their years of images are worth: the same network trained from random weights."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from runtime.decision import Rule
from trainer.attempt import Task
from trainer.clock import now
from trainer.evaluate import predict
from trainer.evaluation.baselines import baseline_of
from trainer.evaluation.figures import Answers
from trainer.evaluation.report import Baseline
from trainer.line import draw_line
from trainer.progress import Progress
from trainer.settings import TrainingSettings
from trainer.trained import TrainedModel

FROM_SCRATCH = "the same network from scratch"


def from_scratch(model: TrainedModel, *, seconds: float, progress: Progress) -> Baseline:
    """Train the run's architecture on the run's images by the strategy `scratch`, for `seconds` at most (to the next
    check of its weights), with its line drawn as the run's was. Nothing of it is kept but its figures. Raises
    ConfigurationError and DatasetError as a training does."""
    began = now()
    record, snapshot = model.record, model.snapshot
    trained = TrainingSettings.model_validate(record.lineage.training)
    changes = {
        "strategy": "scratch", "tasks": (), "task_weights": {}, "compare_tasks": False, "max_seconds": seconds,
        "device": "cpu" if trained.device == "cpu" else "auto",
    }  # fmt: skip
    torch.set_num_threads(trained.threads)
    with tempfile.TemporaryDirectory() as folder:
        task = Task(
            snapshot, record.base_model, Path(folder), None, until=began + seconds, resume=False, progress=progress
        )
        attempt = task.attempt(trained.model_copy(update=changes))
        course, taught = attempt.course, attempt.taught
        thresholds, calibration = draw_line(course, attempt.stem, taught, snapshot)
    took, test = now() - began, snapshot.of("test")
    logits = predict(taught.network, test, attempt.stem.spec) / calibration.temperature
    answers = Answers(test, logits.double().softmax(1).numpy(), Rule(course.labels, course.good, thresholds))
    steps = sum(tuned.checks[-1].step for tuned in taught.rounds)
    cut = f"; cut short by its limit of {seconds:g} s" if taught.hurried else ""
    return baseline_of(
        FROM_SCRATCH,
        answers,
        seconds=took,
        learned_from=len(snapshot.of("train", "validation")),
        note=f"random weights, {steps} steps{cut}",
    )
