"""How good the model is on images that chose nothing, and what so few of them cannot promise."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from contracts.certificate import TaskMetrics
from contracts.preprocessing import Preprocessing
from runtime.metrics import wilson_interval
from trainer.claim import FEWEST
from trainer.dataset import Example
from trainer.device import device_of
from trainer.evaluation import figures
from trainer.evaluation.figures import Answers, Statistic, estimate
from trainer.evaluation.report import Estimate
from trainer.image import load_inputs
from trainer.snapshot import Snapshot

_MEASURED: dict[str, Statistic] = {
    "balanced_accuracy": figures.balanced_accuracy,
    "auroc": figures.area,
    "accuracy": figures.accuracy,
    "recall_good": figures.recall_good,
    "recall_defect": figures.recall_defect,
}
_BATCH = 16  # network inputs


def predict(network: nn.Module, examples: Sequence[Example], spec: Preprocessing) -> Tensor:
    """Logits [n, k] of the images as they are."""
    parts, device = [], device_of(network)
    with torch.inference_mode():
        batch = max(1, _BATCH // spec.inputs)
        for start in range(0, len(examples), batch):
            parts.append(network(load_inputs(examples[start : start + batch], spec).to(device))[0].cpu())
    return torch.cat(parts).clone()


def intervals(answers: Answers) -> dict[str, Estimate]:
    """The figures of the test with their intervals over groups, by the metric's name; where a single group leaves
    recalls without one, as for so many images by themselves."""
    found = {name: estimate(answers, statistic) for name, statistic in _MEASURED.items()}
    return {**found, **{name: _of_images(found[name]) for name in ("recall_good", "recall_defect")}}


def _of_images(found: Estimate) -> Estimate:
    if found.low is not None or found.hits is None or found.of is None:
        return found
    low, high = wilson_interval(found.hits, found.of)
    return found.model_copy(update={"low": low, "high": high})


def cannot_promise(snapshot: Snapshot, metrics: TaskMetrics, good: Sequence[str]) -> tuple[str, ...]:
    """Plain sentences about what the test split is too small to tell."""
    test = snapshot.of("test")
    sentences = [
        *_recall("good parts let through", metrics.recall_good, sum(e.label in good for e in test)),
        *_recall("defects found", metrics.recall_defect, sum(e.label not in good for e in test)),
    ]
    for label in snapshot.labels:
        trained = sum(example.label == label for example in snapshot.of("train"))
        if trained < FEWEST:
            sentences.append(
                f"Class {label!r} was learned from {trained} images; kinds of it that they do not show are unknown."
            )
    if all(not example.group for example in snapshot.examples):
        sentences.append(
            "No groups are named: pictures of one part may lie in training and test, and the test is then too kind."
        )
    sentences.append("A kind of defect that is in none of the images is not promised to be found.")
    return tuple(sentences)


def _recall(what: str, recall: float | None, count: int) -> list[str]:
    if recall is None or count == 0:
        return [f"The test holds no image for {what}: nothing is known about it."]
    hits = round(recall * count)
    low, high = wilson_interval(hits, count)
    sentence = f"{what.capitalize()}: {hits} of {count} test images; the true share is between {low:.0%} and {high:.0%}"
    return [sentence + (" (95 %): too few images to rely on." if count < FEWEST else " (95 %).")]
