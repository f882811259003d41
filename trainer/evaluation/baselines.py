"""What others reach on the same images: always the same answer, a classical feature with a linear model, the pretrained
network with nothing but a linear head, and the people who labelled them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

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
from trainer.evaluation.report import Baseline
from trainer.raters import labels_of_raters
from trainer.rounds.head import Regularisation
from trainer.stem import Stem
from trainer.views import View

_SIDE, _CELLS, _TURNS, _GREYS = 128, 4, 8, 16


def majority(train: Sequence[Example], test: Sequence[Example], rule: Rule) -> Baseline:
    """Always the commoner of good and defect."""
    counts = Counter(example.label in rule.good_labels for example in train)
    commoner = [label for label in rule.labels if (label in rule.good_labels) == (counts[True] >= counts[False])]
    said = np.tile([float(label in commoner) / len(commoner) for label in rule.labels], (len(test), 1))
    return _baseline("always the same answer", test, said, rule, 0.0, f"{len(train)} images, no training")


def classical(train: Sequence[Example], test: Sequence[Example], rule: Rule) -> Baseline:
    """Histograms of oriented gradients (Dalal & Triggs, CVPR 2005) and of grey values with logistic regression."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    began = now()
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500, class_weight="balanced"))
    model.fit(_classical(train), [example.label for example in train])
    found = model.predict_proba(_classical(test))
    said = np.zeros((len(test), len(rule.labels)))
    said[:, [rule.labels.index(label) for label in model.classes_]] = found
    note = f"{len(train)} images; 4x4 histograms of gradients, grey values, logistic regression"
    return _baseline("classical feature, linear model", test, said, rule, now() - began, note)


def frozen_probe(
    course: Course, stem: Stem, learned: Material, test: Sequence[Example], rule: Rule, *, fit: Regularisation
) -> Baseline:
    """A logistic head, fitted so, on the pretrained network, which is not fine-tuned."""
    began = now()
    head = course.head(course.lesson(learned), fit)
    seen = stem.features(tuple(test), (View(0),))
    said = course.says(head, seen).double().softmax(1).numpy()
    note = f"{len(learned.examples)} images; pretrained features, linear head"
    return _baseline("frozen features, linear head", test, said, rule, now() - began, note)


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
    return _baseline("the raters themselves", [example for example, _ in rated], said, rule, 0.0, note)


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


def _baseline(
    name: str, test: Sequence[Example], said: NDArray[np.float64], rule: Rule, seconds: float, note: str
) -> Baseline:
    plain = Rule(rule.labels, rule.good_labels, Thresholds(ng=0.5, review_from=0.5))
    answers = Answers(tuple(test), said, plain)
    return Baseline(
        name=name,
        balanced_accuracy=estimate(answers, balanced_accuracy),
        accuracy=accuracy(answers, np.arange(len(test))),
        seconds=seconds,
        note=note,
    )
