"""What the pretrained weights are worth: the same head on the same images over random weights."""

from __future__ import annotations

from typing import Any

from contracts.bundle import Thresholds
from runtime.decision import Rule
from runtime.metrics import task_metrics
from trainer.backbone import BaseModel, load_base_model
from trainer.course import Course, Material
from trainer.dataset import Example
from trainer.features import Features, Stem
from trainer.network import Network
from trainer.views import View

_PLAIN = (View(0),)


def compare_with_random(course: Course, stem: Stem, base: BaseModel, train: Material, test: Material) -> dict[str, Any]:
    """Balanced accuracy (threshold 0.5) and AUROC on the test split of a logistic head on frozen features: of the
    pretrained backbone and of the same architecture with random weights (BatchNorm at its initial statistics)."""
    backbone, _ = load_base_model(base.model_copy(update={"weights": None}), seed=course.settings.seed)
    network = Network(backbone, len(course.labels)).eval()
    blank = Stem(network, stem.cut, stem.spec, base="random")
    return {
        "pretrained": _probe(course, train, test),
        "random": _probe(course, _again(blank, train.examples), _again(blank, test.examples)),
    }


def _again(stem: Stem, examples: tuple[Example, ...]) -> Material:
    return Material(examples, stem.features(examples, _PLAIN))


def _probe(course: Course, train: Material, test: Material) -> dict[str, float | None]:
    plain = Material(train.examples, Features(train.features.maps[:, :1], train.features.embeddings[:, :1]))
    head = course.head(course.lesson(plain), course.best_penalty(plain))
    probabilities = head.logits(test.features.embeddings[:, 0]).softmax(1).numpy()
    rule = Rule(course.labels, course.good, Thresholds(ng=0.5, review_from=0.5))
    metrics = task_metrics(probabilities, [example.label for example in test.examples], rule)
    return {"balanced_accuracy": metrics.balanced_accuracy, "auroc": metrics.auroc}
