"""Poisoned batches: who flips what, what a model learns of it, and what counts as a bad promotion."""

import numpy as np

from benchmarks.drift.plants import is_bad
from benchmarks.drift.poison import Parts, fate, recalls, trained, turned_round


def test_a_tenth_of_the_batch_is_turned_round_at_random_or_all_of_it_on_defects() -> None:
    defective = np.arange(200) < 60
    for how, flips in (("clean", 0), ("random", 20), ("aimed", 20)):
        said = turned_round(np.random.default_rng(0), defective, how)  # type: ignore[arg-type]
        assert (said != defective).sum() == flips
        assert how != "aimed" or not said[60:].any()


def test_a_model_follows_the_labels_it_was_given() -> None:
    rng = np.random.default_rng(1)
    defective = rng.random(400) < 0.3
    points = rng.normal(size=(400, 3)) + 4.0 * defective[:, None]
    parts = Parts(points, defective)
    assert recalls(trained(points, defective), parts).min() > 0.95
    assert recalls(trained(points, ~defective), parts).max() < 0.05


def test_clean_batches_are_promoted_and_a_promotion_that_loses_is_bad() -> None:
    fates = [fate(np.random.default_rng([2, seed]), "clean") for seed in range(8)]
    assert sum(one.promoted or one.asked for one in fates) >= 7
    assert not any(one.promoted and one.worse for one in fates)
    good = {"balanced_accuracy_drifted": 0.6, "balanced_accuracy_after": 0.9, "balanced_accuracy_home_lost": 0.0}
    assert not is_bad(good)  # type: ignore[arg-type]
    assert is_bad({**good, "balanced_accuracy_after": 0.5})
    assert is_bad({**good, "balanced_accuracy_home_lost": 0.06})
