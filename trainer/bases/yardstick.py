"""What the pretrained weights are worth: the same head on the same images over random weights."""

from __future__ import annotations

from typing import Any

from contracts.thresholds import Thresholds
from runtime.decision import Rule
from runtime.metrics import task_metrics
from trainer.bases.backbone import BaseModel, load_base_model
from trainer.course import Course, Material
from trainer.dataset import Example
from trainer.network import Network
from trainer.stem import Stem
from trainer.views import View

_PLAIN = (View(0),)
_PERFECT = 0.995  # AUROC of both: nothing is left to win


def compare_with_random(
    course: Course, stem: Stem, base: BaseModel, train: Material, validation: Material, test: Material
) -> dict[str, Any]:
    """Balanced accuracy (threshold 0.5) and AUROC of a logistic head on frozen features: of the pretrained backbone and
    of the same architecture with random weights (BatchNorm at its initial statistics), on the test split and, under
    `validation`, on the validation split, which is what `negative_transfer` judges by."""
    backbone, _ = load_base_model(base.model_copy(update={"weights": None}), seed=course.settings.seed)
    good, pooling = course.good_mask().tolist(), course.settings.pooling
    network = Network(backbone, len(course.labels), inputs=stem.spec.inputs, good=good, pooling=pooling).eval()
    blank = Stem(network, stem.cut, stem.spec, base="random")
    seen, judged, tested = (_again(blank, part.examples) for part in (train, validation, test))
    return {
        "pretrained": _probe(course, train, test),
        "random": _probe(course, seen, tested),
        "validation": {"pretrained": _probe(course, train, validation), "random": _probe(course, seen, judged)},
    }


def negative_transfer(yardstick: dict[str, Any]) -> str | None:
    """A sentence where the pretrained weights do not beat random ones on validation; None where they do, where both are
    right throughout, or where nothing is known."""
    found = yardstick.get("validation", {})
    values = [found.get(name, {}).get("auroc") for name in ("pretrained", "random")]
    if None in values or min(values) >= _PERFECT or values[0] > values[1]:
        return None
    return (
        "NEGATIVE TRANSFER: with random weights the same architecture tells the validation images apart as well or "
        f"better (AUROC {values[1]:.3f} against {values[0]:.3f} of the pretrained ones). Choose another base model: "
        "lineside models rank."
    )


def _again(stem: Stem, examples: tuple[Example, ...]) -> Material:
    return Material(examples, stem.features(examples, _PLAIN))


def _probe(course: Course, train: Material, test: Material) -> dict[str, float | None]:
    plain = Material(train.examples, train.features.plain())
    head = course.head(course.lesson(plain), course.regularisation(plain))
    probabilities = course.says(head, test.features).softmax(1).numpy()
    rule = Rule(course.labels, course.good, Thresholds(ng=0.5, review_from=0.5))
    metrics = task_metrics(probabilities, [example.label for example in test.examples], rule)
    return {"balanced_accuracy": metrics.balanced_accuracy, "auroc": metrics.auroc}
