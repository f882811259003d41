"""Answers of no network, of a skill that is known."""

from pathlib import Path

import numpy as np

from contracts.thresholds import Thresholds
from runtime.decision import Rule
from trainer.dataset import Example
from trainer.evaluation.figures import Answers

RULE = Rule(("dent", "good", "scratch"), ("good",), Thresholds(ng=0.5, review_from=0.5, cost_escape=10.0))


def made(count: int, *, skill: float = 2.0, per_group: int = 1, seed: int = 0, **columns: list[str]) -> Answers:
    """Random answers, right more often the greater the skill; `columns` hold a value for each image."""
    rng = np.random.default_rng(seed)
    true = rng.choice(3, count, p=[0.2, 0.6, 0.2])
    logits = rng.normal(size=(count, 3))
    logits[np.arange(count), true] += skill
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    examples = tuple(
        Example(
            Path(f"{row}.png"), RULE.labels[kind], group=f"g{row // per_group}",
            attributes={name: values[row] for name, values in columns.items()},
        )
        for row, kind in enumerate(true)
    )  # fmt: skip
    return Answers(examples, probabilities, RULE)
