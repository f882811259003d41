"""The accuracy benchmark: honest parts, and cells that are measured once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.accuracy.cells import Cell, Shelf, code_hash, meaning
from benchmarks.accuracy.findings import Findings, Found
from benchmarks.accuracy.plan import Sets
from benchmarks.accuracy.protocols import (
    grouped_fold,
    grouped_quarter,
    later_days,
    random_quarter,
    third_of_each_site,
)
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


def test_a_third_of_every_site_is_the_test() -> None:
    sites = tuple(replace(e, site="a" if row < 96 else "b") for row, e in enumerate(EXAMPLES))
    dealt = third_of_each_site(Dataset(sites, "x"), seed=0)
    seen = Counter(example.site for example in dealt.examples if example.split == "test")
    assert 28 <= seen["a"] <= 36
    assert 44 <= seen["b"] <= 52
    assert not groups(dealt, "test") & (groups(dealt, "train") | groups(dealt, "validation"))


def test_later_days_are_judged_by_the_days_before_and_a_few_labels() -> None:
    days = ["2026-01-01", "2026-01-02", "2026-01-03"]
    examples = tuple(
        replace(example, attributes={"captured_at": f"{days[row % 3]}T08:00:00"}, label="good" if row % 2 else "bad")
        for row, example in enumerate(EXAMPLES)
    )
    dealt = later_days(Dataset(examples, "x"), until=days[0], bridge=days[1], labels=10, seed=0).examples
    seen = Counter((example.split == "test", example.attributes["captured_at"][:10]) for example in dealt)
    assert seen == {(False, days[0]): 80, (False, days[1]): 10, (True, days[2]): 80}
    ordered = {example.attributes["captured_at"][:10] for example in dealt if "order" in example.attributes}
    assert ordered == set(days[1:])


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
    cell = Cell("set/one", {"seed": 0}, "code-1", counting)
    shelf = Shelf(tmp_path)
    assert shelf.recall(cell) is None
    assert shelf.measure(cell).found == shelf.measure(cell).found == {"calls": 1}
    other = replace(cell, inputs={"seed": 1})
    assert shelf.measure(other).found == {"calls": 2}
    assert shelf.measure(replace(other, code="code-2")).found == {"calls": 3}
    assert shelf.recall(other) is None
    assert not list((tmp_path / "work").iterdir())


def test_cell_of_other_code_is_taken_only_when_asked_for_and_is_said_to_be_one(tmp_path: Path) -> None:
    cell, shelf = Cell("set/one", {"seeds": (0, 1)}, "code-1", Counting()), Shelf(tmp_path)
    measured = shelf.measure(cell)
    assert measured.commit
    assert not measured.outdated
    newer = replace(cell, code="code-2")
    assert shelf.recall(newer) is None
    assert shelf.recall(newer, older=True) == replace(measured, outdated=True)
    assert shelf.recall(replace(newer, inputs={"seeds": (0, 2)}), older=True) is None


def test_cell_that_was_interrupted_is_measured_again_in_the_same_folder(tmp_path: Path) -> None:
    folders = []

    def die(work: Path) -> dict[str, Any]:
        folders.append(work)
        (work / "half").touch()
        raise KeyboardInterrupt

    shelf = Shelf(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        shelf.measure(Cell("one", {}, "code", die))
    assert shelf.recall(Cell("one", {}, "code", die)) is None

    def go_on(work: Path) -> dict[str, Any]:
        return {"found": (work / "half").exists(), "same": [work] == folders}

    assert shelf.measure(Cell("one", {}, "code", go_on)).found == {"found": True, "same": True}


def test_damaged_cell_is_measured_again(tmp_path: Path) -> None:
    shelf, counting = Shelf(tmp_path), Counting()
    shelf.measure(Cell("one", {}, "code", counting))
    (tmp_path / "one.json").write_text('{"key": ')
    assert shelf.measure(Cell("one", {}, "code", counting)).found == {"calls": 2}


def test_code_counts_and_words_about_it_do_not(tmp_path: Path) -> None:
    for folder in ("trainer", "exporter"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "__init__.py").write_text("")
    entry, head, aside = (tmp_path / "trainer" / name for name in ("run.py", "head.py", "page.py"))
    entry.write_text("import json\n\ndef go():\n    from trainer.head import fit\n    return fit()\n")
    head.write_text('from exporter import graph\n\ndef fit():\n    """Fits."""\n    return 1\n')
    (tmp_path / "exporter" / "graph.py").write_text("x = 1\n")
    before = code_hash("trainer.run", tmp_path)
    head.write_text('# why\nfrom exporter import graph\n\ndef fit():\n    """Fits a head."""\n\n    return 1\n')
    aside.write_text("x = 1")
    assert code_hash("trainer.run", tmp_path) == before
    (tmp_path / "exporter" / "graph.py").write_text("x = 2\n")
    changed = code_hash("trainer.run", tmp_path)
    assert changed != before
    (tmp_path / "trainer" / "__init__.py").write_text("x = 2\n")
    assert code_hash("trainer.run", tmp_path) not in (before, changed)
    assert meaning("x = 1") != meaning("x = 2")


def answered(images: range, *, right: bool) -> dict[str, Any]:
    """A cell that is sure of every image, rightly or wrongly."""
    said = [
        [float((EXAMPLES[n].label == "good") != right), float((EXAMPLES[n].label == "good") == right)] for n in images
    ]
    return {
        "labels": ["bad", "good"], "good": ["good"], "thresholds": {"ng": 0.5, "review_from": 0.5},
        "images": [EXAMPLES[n].sha256 for n in images], "int8": said, "float": said,
        "train_seconds": float(len(images)), "latency_seconds": 0.002,
    }  # fmt: skip


def test_figures_need_all_their_cells() -> None:
    pits = Dataset(
        tuple(replace(e, label="pitting" if e.label == "bad" else "good",
                      attributes={"pit_area_px2": str(n % 50)}) for n, e in enumerate(EXAMPLES)), "x",
    )  # fmt: skip
    sets = Sets(DATASET, DATASET, pits)
    found: Found = {f"elpv-random/seed-{seed}": answered(range(120), right=seed != 2) for seed in (0, 1)}
    figures = {figure.name: figure for figure in Findings(found, sets)._elpv()}
    assert figures["elpv_random_accuracy"].value is None
    found["elpv-random/seed-2"] = answered(range(120), right=False)
    figures = {figure.name: figure for figure in Findings(found, sets)._elpv()}
    assert figures["elpv_random_accuracy"].value == pytest.approx(2 / 3)
    assert figures["elpv_random_train_seconds_largest"].value == 120.0
    assert figures["elpv_blocks_gain"].value is None
    found |= {f"elpv-blocks/{name}-{seed}": answered(range(60), right=name == "full" or seed == 0)
              for name in ("probe", "full") for seed in range(3)}  # fmt: skip
    figures = {figure.name: figure for figure in Findings(found, sets)._elpv()}
    assert figures["elpv_blocks_gain"].value == pytest.approx(2 / 3)


def test_small_pits_are_judged_at_equal_false_alarms() -> None:
    examples = tuple(
        replace(e, label="pitting" if n < 40 else "healthy", attributes={"pit_area_px2": str(n) if n < 40 else "0"})
        for n, e in enumerate(EXAMPLES)
    )
    sets = Sets(DATASET, DATASET, Dataset(examples, "x"))
    found: Found = {}
    for name, seen in (("spindle", 0.3), ("spindle-tiled", 0.9)):
        for fold in range(5):
            images = range(fold * 48, fold * 48 + 48)
            said = [seen if examples[n].label == "pitting" and n < 20 else 0.95 if n < 40 else n / 400 for n in images]
            found[f"{name}/fold-{fold}"] = {
                "labels": ["healthy", "pitting"], "good": ["healthy"], "thresholds": {"ng": 0.5, "review_from": 0.5},
                "images": [examples[n].sha256 for n in images], "int8": [[1 - value, value] for value in said],
                "latency_seconds": 0.002,
            }  # fmt: skip
    figures = {figure.name: figure.value for figure in Findings(found, sets)._pits()}
    assert figures["pits_small_recall_tiled"] == 1.0
    assert figures["pits_small_recall_squashed"] == 0.0  # twelve of the 200 healthy images score above 0.57
    assert figures["pits_small_gain"] == 1.0


def _told(kind: str, rows: range) -> dict[str, Any]:
    """Perfect answers, but where `kind` says which task is wrong."""
    images = [EXAMPLES[row] for row in rows]
    areas = [float(example.attributes["pit_area_px2"]) for example in MARKED[rows.start : rows.stop]]
    return {
        "images": [example.sha256 for example in images],
        "good": ["good"],
        "train_seconds": 1.0,
        "class": [float(example.label == "bad") for example in images],
        "severity": [-area if kind == "severity" else area for area in areas],
        "location": {
            example.sha256: [50.0, 50.0, 60.0, 60.0] if kind == "location" else [1.0, 1.0, 11.0, 11.0]
            for example in images
            if example.label == "bad"
        },
    }


MARKED = tuple(
    replace(
        example,
        attributes={"pit_area_px2": str(row % 7 + 1), "bbox_xyxy": "1 1 11 11"} if example.label == "bad" else
        {"pit_area_px2": "0"},
    )
    for row, example in enumerate(EXAMPLES)
)  # fmt: skip


def test_tasks_over_one_trunk_are_compared_with_each_alone() -> None:
    folds = [range(fold * 48, fold * 48 + 48) for fold in range(5)]
    found: Found = {f"tasks/{name}-{fold}": _told("", rows)
                    for name in ("class", "severity", "location") for fold, rows in enumerate(folds)}  # fmt: skip
    sets = Sets(DATASET, DATASET, Dataset(MARKED, "x"))
    assert {figure.value for figure in Findings(found, sets)._tasks()} == {None}
    found |= {f"tasks/together-{fold}": _told("location", rows) for fold, rows in enumerate(folds)}
    figures = {figure.name: figure for figure in Findings(found, sets)._tasks()}
    assert figures["tasks_class_together"].value == 1.0
    assert figures["tasks_severity_not_worse"].value == 1.0
    assert figures["tasks_location_alone"].value == 1.0
    assert figures["tasks_location_gain"].value == -1.0
    assert figures["tasks_location_not_worse"].value == 0.0
