"""The accuracy benchmark: honest parts, and cells that are measured once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.accuracy.cells import Cell, Shelf, code_hash, meaning
from benchmarks.accuracy.protocols import grouped_fold, grouped_quarter, later_days, random_quarter
from trainer.dataset import Dataset, Example
from trainer.split import group_of

EXAMPLES = tuple(
    Example(
        path=Path(f"{number}.png"), label="good" if number % 3 else "bad", group=f"module-{number // 6}",
        sha256=f"{number:064x}",
    )
    for number in range(240)
)  # fmt: skip
DATASET = Dataset(EXAMPLES, "x")


def groups(dataset: Dataset, split: str) -> set[str]:
    return {group_of(example) for example in dataset.examples if example.split == split}


def test_grouped_quarter_parts_no_group() -> None:
    dealt = grouped_quarter(DATASET, seed=1)
    test = groups(dealt, "test")
    assert not test & (groups(dealt, "train") | groups(dealt, "validation"))
    assert groups(dealt, "validation")
    assert not groups(dealt, "validation") & groups(dealt, "train")
    assert 50 <= sum(example.split == "test" for example in dealt.examples) <= 70


def test_random_quarter_is_stratified_and_follows_its_seed() -> None:
    dealt = random_quarter(DATASET, seed=1)
    test = [example for example in dealt.examples if example.split == "test"]
    assert len(test) == 60
    assert sum(example.label == "bad" for example in test) == 20
    assert groups(dealt, "test") == groups(random_quarter(DATASET, seed=1), "test")
    assert groups(dealt, "test") != groups(random_quarter(DATASET, seed=2), "test")


def test_every_group_is_tested_in_exactly_one_fold() -> None:
    tested = [groups(grouped_fold(DATASET, fold=fold), "test") for fold in range(5)]
    assert sum(map(len, tested)) == len(set().union(*tested)) == 40


def test_later_days_are_judged_by_the_days_before_and_a_few_labels() -> None:
    days = ["2026-01-01", "2026-01-02", "2026-01-03"]
    examples = tuple(
        replace(example, attributes={"captured_at": f"{days[row % 3]}T08:00:00"}, label="good" if row % 2 else "bad")
        for row, example in enumerate(EXAMPLES)
    )
    dealt = later_days(Dataset(examples, "x"), until=days[0], bridge=days[1], labels=10, seed=0).examples
    seen = Counter((example.split == "test", example.attributes["captured_at"][:10]) for example in dealt)
    assert seen == {(False, days[0]): 80, (False, days[1]): 10, (True, days[2]): 80}


class Counting:
    """Measures by counting how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, work: Path) -> dict[str, Any]:
        self.calls += 1
        (work / "half").touch()
        return {"calls": self.calls}


def test_cell_is_measured_once_until_its_inputs_or_the_code_change(tmp_path: Path) -> None:
    counting = Counting()
    cell = Cell("set/one", {"seed": 0}, counting)
    shelf = Shelf(tmp_path, "code-1")
    assert shelf.recall(cell) is None
    assert shelf.measure(cell) == shelf.measure(cell) == {"calls": 1}
    assert Shelf(tmp_path, "code-1").measure(Cell("set/one", {"seed": 1}, counting)) == {"calls": 2}
    assert Shelf(tmp_path, "code-2").measure(Cell("set/one", {"seed": 1}, counting)) == {"calls": 3}
    assert Shelf(tmp_path, "code-1").recall(Cell("set/one", {"seed": 1}, counting)) is None


def test_cell_that_was_interrupted_is_measured_again_in_the_same_folder(tmp_path: Path) -> None:
    folders = []

    def die(work: Path) -> dict[str, Any]:
        folders.append(work)
        (work / "half").touch()
        raise KeyboardInterrupt

    shelf = Shelf(tmp_path, "code")
    with pytest.raises(KeyboardInterrupt):
        shelf.measure(Cell("one", {}, die))
    assert shelf.recall(Cell("one", {}, die)) is None

    def go_on(work: Path) -> dict[str, Any]:
        return {"found": (work / "half").exists(), "same": [work] == folders}

    assert shelf.measure(Cell("one", {}, go_on)) == {"found": True, "same": True}


def test_damaged_cell_is_measured_again(tmp_path: Path) -> None:
    shelf, counting = Shelf(tmp_path, "code"), Counting()
    shelf.measure(Cell("one", {}, counting))
    (tmp_path / "one.json").write_text('{"key": ')
    assert shelf.measure(Cell("one", {}, counting)) == {"calls": 2}


def test_code_counts_and_words_about_it_do_not(tmp_path: Path) -> None:
    for folder in ("trainer", "trainer/quality", "benchmarks/accuracy"):
        (tmp_path / folder).mkdir(parents=True)
    file, aside = tmp_path / "trainer" / "head.py", tmp_path / "trainer" / "quality" / "page.py"
    file.write_text('def fit():\n    """Fits."""\n    return 1\n')
    before = code_hash(tmp_path)
    file.write_text('# why\ndef fit():\n    """Fits a head."""\n\n    return 1\n')
    aside.write_text("x = 1")
    assert code_hash(tmp_path) == before
    file.write_text("def fit():\n    return 2\n")
    assert code_hash(tmp_path) != before
    assert meaning("x = 1") != meaning("x = 2")
