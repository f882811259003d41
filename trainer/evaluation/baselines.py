"""What others reach on the same images, and from how many images in which time: always the same answer, a classical
feature with a linear model, the pretrained network with nothing but a linear head, and the people who labelled them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from contracts.thresholds import Thresholds
from runtime.decision import Rule
from runtime.preprocessing import decode_plain
from trainer.clock import now
from trainer.course import Course, Material
from trainer.dataset import Example
from trainer.evaluation.figures import Answers, accuracy, balanced_accuracy, estimate
from trainer.evaluation.report import Baseline, Estimate
from trainer.raters import labels_of_raters
from trainer.rounds.head import Regularisation
from trainer.stem import Stem
from trainer.views import View

_SIDE, _CELLS, _TURNS, _GREYS = 128, 4, 8, 16


def majority(train: Sequence[Example], test: Sequence[Example], rule: Rule) -> Baseline:
    """Always the commoner of good and defect. That its balanced accuracy is one half needs no interval."""
    counts = Counter(example.label in rule.good_labels for example in train)
    commoner = [label for label in rule.labels if (label in rule.good_labels) == (counts[True] >= counts[False])]
    said = np.tile([float(label in commoner) / len(commoner) for label in rule.labels], (len(test), 1))
    found = baseline(
        "always the same answer", test, said, rule, seconds=0.0, learned_from=len(train), note="counts; no training"
    )
    return found.model_copy(update={"balanced_accuracy": Estimate(value=found.balanced_accuracy.value)})


def classical(train: Sequence[Example], test: Sequence[Example], rule: Rule) -> Baseline:
    """Histograms of oriented gradients (Dalal & Triggs, CVPR 2005) and of grey values with logistic regression."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    began = now()
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500, class_weight="balanced"))
    model.fit(_classical(train), [example.label for example in train])
    seconds = now() - began
    found = model.predict_proba(_classical(test))
    said = np.zeros((len(test), len(rule.labels)))
    said[:, [rule.labels.index(label) for label in model.classes_]] = found
    note = "4x4 histograms of gradients, grey values, logistic regression"
    return baseline(
        "classical feature, linear model", test, said, rule, seconds=seconds, learned_from=len(train), note=note
    )


def frozen_probe(
    course: Course, stem: Stem, learned: Material, test: Sequence[Example], rule: Rule, *, fit: Regularisation,
    began: float,
) -> Baseline:  # fmt: skip
    """A logistic head, fitted so, on the pretrained network, which is not fine-tuned. `began` (seconds of
    `trainer.clock`): when the features of the training images, and the search of the penalty, did."""
    head = course.head(course.lesson(learned), fit)
    seconds = now() - began
    seen = stem.features(tuple(test), (View(0),))
    said = course.says(head, seen).double().softmax(1).numpy()
    note = f"pretrained features, linear head of penalty {fit.penalty:g}"
    images = len(learned.examples)
    return baseline("frozen features, linear head", test, said, rule, seconds=seconds, learned_from=images, note=note)


def random_features(yardstick: Mapping[str, Any], train: Sequence[Example]) -> Baseline | None:
    """A linear head on the network with random weights, where the training has measured it (`bases.yardstick`); of
    that its balanced accuracy alone is known."""
    value = yardstick.get("random", {}).get("balanced_accuracy")
    if value is None:
        return None
    return Baseline(
        name="random weights, linear head",
        balanced_accuracy=Estimate(value=value),
        accuracy=None,
        learned_from=len(train),
        note="features of the same network before any training; as the training measured it",
    )


def raters(test: Sequence[Example], rule: Rule) -> Baseline | None:
    """Each single rating against what most raters of its image said, itself included; None without images that several
    judged, or where nobody's class is known."""
    rated = [(example, label) for example in test for label in labels_of_raters(example) if label in rule.labels]
    if not rated:
        return None
    said = np.zeros((len(rated), len(rule.labels)))
    said[np.arange(len(rated)), [rule.labels.index(label) for _, label in rated]] = 1.0
    images = len({example.sha256 for example, _ in rated})
    note = f"{len(rated)} ratings of {images} images, each against the majority that it belongs to"
    return baseline("the raters themselves", [example for example, _ in rated], said, rule, note=note)


def gradients(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """[144] feature of an image [h, w, 3]: eight directions in each of 4x4 cells, and 16 grey levels; each part sums
    to 1 at most."""
    grey = np.asarray(Image.fromarray(image).convert("L").resize((_SIDE, _SIDE)), dtype=np.float64) / 255.0
    down, right = np.gradient(grey)
    size, turn = np.hypot(down, right), np.floor(np.arctan2(down, right) % np.pi / np.pi * _TURNS).astype(int) % _TURNS
    cell = np.arange(_SIDE) * _CELLS // _SIDE
    place = (cell[:, None] * _CELLS + cell[None]) * _TURNS + turn
    directions = np.bincount(place.ravel(), weights=size.ravel(), minlength=_CELLS * _CELLS * _TURNS)
    greys = np.histogram(grey, bins=_GREYS, range=(0.0, 1.0))[0] / grey.size
    return np.concatenate([directions / (directions.sum() + 1e-9), greys])


def _classical(examples: Sequence[Example]) -> NDArray[np.float64]:
    return np.stack([gradients(decode_plain(example.path.read_bytes(), _SIDE)) for example in examples])


def baseline(
    name: str, test: Sequence[Example], said: NDArray[np.float64], rule: Rule, *, seconds: float | None = None,
    learned_from: int | None = None, note: str = "",
) -> Baseline:  # fmt: skip
    """Of answers [n, k] to `test`, which decide at 0.5."""
    plain = Rule(rule.labels, rule.good_labels, Thresholds(ng=0.5, review_from=0.5))
    return baseline_of(name, Answers(tuple(test), said, plain), seconds=seconds, learned_from=learned_from, note=note)


def baseline_of(
    name: str, answers: Answers, *, seconds: float | None = None, learned_from: int | None = None, note: str = ""
) -> Baseline:
    """Of answers that decide by their own rule."""
    counted = estimate(answers, accuracy)
    return Baseline(
        name=name,
        balanced_accuracy=estimate(answers, balanced_accuracy),
        accuracy=counted.value,
        counted=counted,
        learned_from=learned_from,
        seconds=seconds,
        note=note,
    )
