"""How much each image counts and how sure its label is: conditions and classes balanced, doubt kept as doubt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from contracts.frame import RANDOM_SOURCES, OutcomeSource
from trainer.dataset import Example

HOME = "home"
_MOST_WEIGHT = 10.0  # of one image, against the mean
_SMOOTHING = 0.04  # of labels that are believed right
_FOUND = frozenset(OutcomeSource) - RANDOM_SOURCES
_ENOUGH = 15  # images of good and of defect each, from which on one condition alone tells where the line lies


def condition_of(example: Example) -> str:
    """Under which conditions the image was taken: `home`, or the id of the retrain order that brought it."""
    return example.attributes.get("order", HOME)


def is_random(example: Example) -> bool:
    """Whether the image was drawn without looking at it, so that shares counted on it mean something."""
    return example.attributes.get("source", "") not in _FOUND


def telling(examples: Sequence[Example], good: Sequence[str], newest: str) -> list[int]:
    """Rows of the images that tell where the line between good and defect lies: drawn at random, since those picked for
    being odd say nothing about shares, and of the `newest` condition, in which the model will serve, where it has
    enough of both kinds; else of all conditions."""
    rows = [row for row, example in enumerate(examples) if is_random(example)]
    latest = [row for row in rows if condition_of(examples[row]) == newest]
    kinds = [examples[row].label in good for row in latest]
    return latest if min(kinds.count(True), kinds.count(False)) >= _ENOUGH else rows


def even_weights(examples: Sequence[Example], good: Sequence[str]) -> Tensor:
    """[n] float32 of mean 1: every condition weighs the same, and good and defect have in each the share that they have
    over all (where it has both), so that to come from a condition with many defects is no sign of one; no image more
    than ten times the mean."""
    cells = [(condition_of(example), example.label in good) for example in examples]
    counts, sizes = Counter(cells), Counter(condition for condition, _ in cells)
    passing = sum(counts[name, True] / size for name, size in sizes.items()) / max(1, len(sizes))
    weights = torch.tensor(
        [
            (passing if passes else 1 - passing) / counts[name, passes]
            if counts[name, not passes] else 1 / sizes[name]
            for name, passes in cells
        ]
    )  # fmt: skip
    return (weights / weights.mean()).clamp_max(_MOST_WEIGHT)


def balanced_weights(examples: Sequence[Example], good: Sequence[str]) -> Tensor:
    """[n] float32 of mean 1: every condition weighs the same, in it good and defect do, and in these the classes as the
    square roots of their counts (rare ones gain, but do not rule); no image more than ten times the mean."""
    cells = [(condition_of(example), example.label in good) for example in examples]
    counts = Counter((cell, example.label) for cell, example in zip(cells, examples, strict=True))
    roots: Counter[tuple[str, bool]] = Counter()
    for (cell, _), count in counts.items():
        roots[cell] += count**0.5
    weights = torch.tensor(
        [
            counts[(cell, example.label)] ** -0.5 / roots[cell]
            for cell, example in zip(cells, examples, strict=True)
        ]
    )  # fmt: skip
    return (weights / weights.mean()).clamp_max(_MOST_WEIGHT)


def soft_targets(
    examples: Sequence[Example], labels: Sequence[str], good: Sequence[str], *, noise: float
) -> Tensor:  # fmt: skip
    """[n, k] float32 probabilities, smoothed so that `noise` of the labels may be wrong.

    Where a `severity` grades the certainty of the site's own images (good ones have some too, and every good one has at
    most half of the largest), it is the probability of a defect: a doubtful image pulls less.
    """
    largest = _largest_severity(examples, good)
    smoothing = _SMOOTHING + 2 * noise
    targets = torch.full((len(examples), len(labels)), smoothing / len(labels))
    others = {True: [n for n, label in enumerate(labels) if label not in good],
              False: [n for n, label in enumerate(labels) if label in good]}  # fmt: skip
    for row, example in enumerate(examples):
        is_good = example.label in good
        defect = float(not is_good)
        if largest and condition_of(example) == HOME:
            defect = _severity(example) / largest
        own = 1 - defect if is_good else defect
        targets[row, labels.index(example.label)] += (1 - smoothing) * own
        targets[row, others[is_good]] += (1 - smoothing) * (1 - own) / len(others[is_good])
    return targets


def _largest_severity(examples: Sequence[Example], good: Sequence[str]) -> float:
    """The end of the scale, or 0 where severity is not a graded certainty."""
    home = [example for example in examples if condition_of(example) == HOME]
    if not all(_is_number(example.attributes.get("severity", "")) for example in home):
        return 0.0
    of_good = [_severity(example) for example in home if example.label in good]
    of_defect = [_severity(example) for example in home if example.label not in good]
    if not of_good or not of_defect or max(of_good) <= 0:
        return 0.0
    largest = max(of_defect)
    graded = max(of_good) <= largest / 2 <= min(of_defect) and min(of_good) >= 0
    return largest if graded else 0.0


def _severity(example: Example) -> float:
    return float(example.attributes["severity"])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
