"""Ways of training compared before the test is asked: on parts that never hold an image of it."""

from __future__ import annotations

import pytest

from benchmarks.accuracy.plan import Plan, Sets
from benchmarks.accuracy.protocols import grouped_fold
from benchmarks.accuracy.rehearsal import PARTS, Rehearsal, inner_part, name_of
from tests.benchmarks.test_accuracy import DATASET, answered, groups
from tests.trainer.conftest import make_small_base
from trainer.split import group_of

EVERY = set(map(group_of, DATASET.examples))


@pytest.fixture
def rehearsal() -> Rehearsal:
    return Rehearsal(Plan(Sets(DATASET, DATASET, DATASET), make_small_base(), threads=1), (0, 2), ("tail", "graft"))


def test_the_outer_test_is_in_no_inner_part_and_all_else_is_judged_once() -> None:
    for fold in (0, 2):
        outer = groups(grouped_fold(DATASET, fold=fold), "test")
        parts = [inner_part(DATASET, fold=fold, part=part) for part in range(PARTS)]
        judged = [groups(part, "test") for part in parts]
        assert all(not outer & groups(part, split) for part in parts for split in ("train", "validation", "test"))
        assert set().union(*judged) | outer == EVERY
        assert sum(map(len, judged)) + len(outer) == len(EVERY)


def test_ways_are_compared_part_by_part(rehearsal: Rehearsal) -> None:
    names = [cell.name for cell in rehearsal.cells()]
    assert names[:3] == ["rehearsal/tail/0-0", "rehearsal/graft/0-0", "rehearsal/tail/0-1"]
    assert len(names) == len(set(names)) == 12


def test_a_way_has_figures_when_all_its_parts_are_there(rehearsal: Rehearsal) -> None:
    parts = [(fold, part) for fold in rehearsal.outer for part in range(PARTS)]
    found = {name_of("graft", *at): answered(range(60), right=at != (0, 0)) for at in parts}
    found |= {name_of("tail", *at): answered(range(60), right=True) for at in parts[1:]}
    values = {figure.name: figure.value for figure in rehearsal.figures(found)}
    assert values["tail_accuracy"] is None
    assert values["graft_accuracy"] == pytest.approx(5 / 6)
