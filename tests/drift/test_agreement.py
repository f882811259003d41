"""Raters agree more or less than chance, and how surely so."""

from __future__ import annotations

import random

import pytest
from sklearn.metrics import cohen_kappa_score

from drift.agreement import agreement

CLASSES = ("good", "pit", "scratch")


def pairs(count: int, wrong: float, seed: int) -> list[list[tuple[str, str]]]:
    """Two raters who each err by chance on that share of the images."""
    rng = random.Random(seed)
    truths = rng.choices(CLASSES, (6, 2, 2), k=count)
    said = [[rng.choice(CLASSES) if rng.random() < wrong else truth for truth in truths] for _ in range(2)]
    return [[("ann", a), ("bo", b)] for a, b in zip(*said, strict=True)]


def test_interval_of_two_raters_holds_their_true_kappa_nearly_always() -> None:
    ratings = pairs(40_000, 0.2, 0)
    true = cohen_kappa_score([a[1] for a, _ in ratings], [b[1] for _, b in ratings])
    found = [agreement(pairs(60, 0.2, seed)) for seed in range(1, 201)]
    held = sum(one.low <= true <= one.high for one in found if one.low is not None and one.high is not None)
    assert 186 <= held <= 200  # of 200: 95 % are 190


def test_raters_who_have_always_agreed_so_far_may_still_differ() -> None:
    found = agreement([[("ann", label), ("bo", label)] for label in ("good", "pit") * 10])
    assert found.kappa == pytest.approx(1.0)
    assert found.high == pytest.approx(1.0)
    assert found.low is not None
    assert found.low < 0.75


def test_images_of_one_rater_say_nothing() -> None:
    found = agreement([[("ann", "good")], [("bo", "pit")]])
    assert (found.raters, found.images, found.kappa, found.low) == (2, 0, None, None)
