"""A row of means: what is remembered of it."""

import numpy as np
import pytest

from drift.course import Course


def wander(memory: float, count: int, entries: int = 3, seed: int = 0) -> np.ndarray:
    shocks = np.random.default_rng(seed).normal(size=(count, entries))
    a = np.exp(-1.0 / memory)
    row = [shocks[0]]
    for shock in shocks[1:]:
        row.append(a * row[-1] + np.sqrt(1.0 - a * a) * shock)
    return np.array(row)


@pytest.mark.parametrize("memory", [5.0, 50.0])
def test_a_wander_costs_twice_its_memory(memory: float) -> None:
    found = Course(most=100).add(wander(memory, 20_000)).inefficiency()
    assert np.all((1.4 * memory < found) & (found < 6.0 * memory))


def test_unrelated_means_cost_nothing() -> None:
    course = Course(most=100).add(np.random.default_rng(1).normal(5.0, 0.01, size=(3_000, 20)))
    assert course.inefficiency().max() < 1.6
    assert course.kinship() == 0.0


def test_neighbours_that_repeat_each_other_are_kin() -> None:
    assert 0.3 < Course(most=100).add(wander(3.0, 2_000)).kinship() < 0.8
    assert Course(most=100).add(wander(100.0, 20_000)).kinship() > 0.9


def test_one_at_a_time_is_the_same_as_many_at_once() -> None:
    means = wander(10.0, 150)
    single = Course(most=40)
    for mean in means:
        single = Course.model_validate_json(single.add(mean[None]).model_dump_json())
    many = Course(most=40).add(means[:67]).add(means[67:])
    assert single.kept == many.kept
    assert single.inefficiency() == pytest.approx(many.inefficiency())
    assert single.variance() == pytest.approx(means.var(axis=0, ddof=1))
    assert single.mean() == pytest.approx(means.mean(axis=0))


def test_what_is_kept_is_bounded_and_spread_over_all_that_was_seen() -> None:
    means = np.arange(50_000, dtype=float)[:, None]
    course = Course(most=64).add(means[:100]).add(means[100:])
    kept = np.array(course.kept)[:, 0]
    assert 32 <= len(kept) <= 64
    assert set(np.diff(kept)) == {course.every}
    assert kept[-1] > 48_000
    assert len(course.model_dump_json()) < 5_000
