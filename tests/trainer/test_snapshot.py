"""Splits stay stratified, never part a group, and stay pinned from snapshot to snapshot."""

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contracts.bundle import Licence
from contracts.errors import DatasetError
from trainer.dataset import Dataset, Example, Split, checked
from trainer.licence import found, stated
from trainer.proof import prove_pinned
from trainer.snapshot import Snapshot, find_snapshot, load_snapshot, take_snapshot
from trainer.split import by_time, group_of, split


def _examples(groups: int = 20, *, prefix: str = "g", each: int = 10) -> tuple[Example, ...]:
    """`each` examples per group, the share of defects growing from group to group."""
    return tuple(
        Example(
            path=Path(f"{prefix}{group}-{number}.png"),
            label="bad" if number < each * group / groups else "good",
            group=f"{prefix}{group}",
            sha256=f"{prefix}{group}-{number}",
        )
        for group in range(groups)
        for number in range(each)
    )


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    examples = []
    for number in range(40):
        path = tmp_path / "images" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8), number, dtype=np.uint8)).save(path)
        examples.append(f"images/{number}.png,{'bad' if number % 4 == 0 else 'good'},lot-{number // 2}")
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("path,label,group\n" + "\n".join(examples) + "\n")
    from trainer.dataset import read_manifest

    return read_manifest(manifest)


def test_no_group_is_parted_and_shares_are_near_70_15_15() -> None:
    examples = split(_examples(), seed=3)
    splits = defaultdict(set)
    for example in examples:
        splits[group_of(example)].add(example.split)
    assert all(len(names) == 1 for names in splits.values())
    for label in ("good", "bad"):
        of_label = [example.split for example in examples if example.label == label]
        assert of_label.count("train") / len(of_label) == pytest.approx(0.70, abs=0.06)
        assert of_label.count("test") / len(of_label) == pytest.approx(0.15, abs=0.06)


def test_split_depends_on_the_seed_alone() -> None:
    assert split(_examples(), seed=1) == split(_examples(), seed=1)
    assert split(_examples(), seed=1) != split(_examples(), seed=2)


def test_few_images_reach_every_split() -> None:
    examples = [Example(path=Path(f"{i}"), label="bad" if i < 5 else "good", sha256=f"{i}") for i in range(25)]
    names = [(example.label, example.split) for example in split(examples, seed=0)]
    assert set(names) == {(label, name) for label in ("bad", "good") for name in ("train", "validation", "test")}


def test_groups_of_the_parent_keep_their_split_when_new_ones_arrive() -> None:
    first = split(_examples(), seed=0)
    pinned = {group_of(example): example.split for example in first}
    second = split((*_examples(prefix="new"), *_examples()), seed=99, pinned=pinned)
    assert all(pinned.get(group_of(example), example.split) == example.split for example in second)
    assert {example.split for example in second if example.group.startswith("new")} == {"train", "validation", "test"}


def test_new_label_of_a_test_group_goes_to_the_test_and_never_to_training() -> None:
    first = split(_examples(), seed=0)
    pinned = {group_of(example): example.split for example in first}
    tested = next(example for example in first if example.split == "test")
    late = Example(path=Path("late.png"), label="bad", group=tested.group, sha256="late", split="train")
    assert split((*first, late), seed=0, pinned=pinned)[-1].split == "test"


def test_gate_label_stays_out_of_training_even_when_its_group_is_trained_on() -> None:
    first = split(_examples(), seed=0)
    pinned = {group_of(example): example.split for example in first}
    trained = next(example for example in first if example.split == "train")
    gate = Example(path=Path("late.png"), label="bad", group=trained.group, sha256="late", split="gate")
    assert split((*first, gate), seed=0, pinned=pinned)[-1].split == "gate"


def test_snapshot_survives_saving_and_loading(dataset: Dataset, tmp_path: Path) -> None:
    snapshot = take_snapshot(dataset, licence=Licence(), seed=0)
    snapshot.save(tmp_path / "work")
    again = find_snapshot(tmp_path / "work", snapshot.hash)
    assert again == Snapshot(again.examples, Licence())
    assert (again.hash, again.split_hash) == (snapshot.hash, snapshot.split_hash)


def test_snapshot_hash_does_not_depend_on_where_the_images_lie(dataset: Dataset) -> None:
    here = take_snapshot(dataset, licence=Licence(), seed=0)
    there = Snapshot(
        tuple(
            Example(Path("elsewhere") / e.path.name, e.label, e.group, e.site, e.split, e.attributes, e.sha256)
            for e in reversed(here.examples)
        ),
        Licence(),
    )
    assert there.hash == here.hash


def test_changed_image_is_noticed_when_a_snapshot_is_loaded(dataset: Dataset, tmp_path: Path) -> None:
    snapshot = take_snapshot(dataset, licence=Licence(), seed=0)
    folder = snapshot.save(tmp_path / "work")
    Image.fromarray(np.full((8, 8), 200, dtype=np.uint8)).save(dataset.examples[3].path)
    with pytest.raises(DatasetError, match=r"3\.png has changed"):
        load_snapshot(folder)


def test_edited_snapshot_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    folder = take_snapshot(dataset, licence=Licence(), seed=0).save(tmp_path / "work")
    about = json.loads((folder / "snapshot.json").read_text())
    about["licence"]["production"] = False
    (folder / "snapshot.json").write_text(json.dumps(about))
    with pytest.raises(DatasetError, match="was changed after it was saved"):
        load_snapshot(folder)


def test_non_commercial_licence_beside_the_images_is_found_and_inherited(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("Attribution-NonCommercial-ShareAlike 4.0 International\n...")
    licence = found(tmp_path / "manifest.csv")
    assert not licence.production
    first = take_snapshot(dataset, licence=licence, seed=0)
    second = take_snapshot(dataset, licence=stated("our own", owner="plant 1"), seed=0, parent=first)
    assert not second.licence.production
    assert second.parent == first.hash
    assert "plant 1" in second.licence.owner


def test_class_that_only_occurs_in_kept_groups_is_named(dataset: Dataset) -> None:
    stated_split = [
        Example(e.path, e.label, e.group, e.site, "test" if e.label == "bad" else "train", {}, e.sha256)
        for e in dataset.examples
        if int(e.path.stem) % 4 in (0, 2)
    ]
    alone = [Example(e.path, e.label, e.sha256, "", e.split, {}, e.sha256) for e in stated_split]
    with pytest.raises(DatasetError, match="no image of class 'bad' is left to train on"):
        take_snapshot(Dataset(tuple(alone), "here"), licence=Licence(), seed=0)


def of_days(*counts: int) -> tuple[Example, ...]:
    """So many images a day, from 1 March on, half of them spotted."""
    return tuple(
        Example(Path(f"{day}-{n}.png"), ("good", "spot")[n % 2], group="always the same",
                attributes={"captured_at": f"2026-03-{day + 1:02}T{n % 24:02}:00:00"}, sha256=f"{day}-{n}")
        for day, count in enumerate(counts) for n in range(count)
    )  # fmt: skip


def test_split_by_time_trains_on_the_past() -> None:
    parted = by_time(of_days(*[10] * 20))
    last = {name: max(e.group for e in parted if e.split == name) for name in ("train", "validation", "test")}
    first = {name: min(e.group for e in parted if e.split == name) for name in last}
    assert last["train"] < first["validation"]
    assert last["validation"] < first["test"]
    assert [sum(e.split == name for e in parted) for name in ("train", "validation", "test")] == [140, 30, 30]


@pytest.mark.parametrize("counts", [(5, 5, 5), (100, 1, 1), (1, 1, 100), (2, 90, 2, 2)])
def test_every_part_of_a_split_by_time_has_a_day(counts: tuple[int, ...]) -> None:
    assert {example.split for example in by_time(of_days(*counts))} == {"train", "validation", "test"}


@pytest.mark.parametrize("more", [1, 2, 3, 10])
def test_days_of_an_earlier_split_by_time_stay_and_new_ones_bring_the_shares_near(more: int) -> None:
    first = by_time(of_days(*[10] * 20))
    pinned = {example.group: example.split for example in first if example.split}
    later = by_time(of_days(*[10] * (20 + more)), pinned=pinned)
    assert all(example.split == pinned.get(example.group, example.split) for example in later)
    new = {example.group: example.split for example in later if example.group not in pinned}
    assert sorted(new.values(), key=["train", "validation", "test"].index) == [new[day] for day in sorted(new)]
    assert sum(example.split == "train" for example in later) / len(later) == pytest.approx(0.7, abs=0.05)
    if more == 10:
        assert [list(new.values()).count(name) for name in ("train", "validation", "test")] == [7, 2, 1]


def test_split_by_time_leaves_the_gate_what_is_the_gates() -> None:
    first, *others = of_days(5, 5, 5)
    parted = by_time((replace(first, split="gate"), *others))
    assert [example.split for example in parted].count("gate") == 1
    assert parted[0].split == "gate"


def test_split_by_time_says_what_it_lacks() -> None:
    with pytest.raises(DatasetError, match="three days at least, the images are of 2"):
        by_time(of_days(5, 5))
    without = replace(of_days(5, 5, 5)[0], attributes={})
    with pytest.raises(DatasetError, match=r"0-0\.png has no time in the column captured_at"):
        by_time((without, *of_days(5, 5, 5)[1:]))


def test_a_group_that_was_trained_on_is_never_tested_on(plates: Dataset, tmp_path: Path) -> None:
    first = take_snapshot(checked(plates.examples[:40], "a"), licence=Licence(), seed=0)
    second = take_snapshot(checked(plates.examples[:52], "b"), licence=Licence(), seed=5, parent=first)
    third = take_snapshot(plates, licence=Licence(), seed=9, parent=second)
    for earlier in (first, second):
        earlier.save(tmp_path)
    assert prove_pinned(third, tmp_path).looked == 2
    swapped: dict[Split | None, Split] = {"train": "test", "test": "train"}
    rows = tuple(replace(example, split=swapped.get(example.split, example.split)) for example in third.examples)
    with pytest.raises(
        DatasetError, match=r"the group lot-\d+ is to be trained on, but snapshot [0-9a-f]+ tests on it"
    ):
        prove_pinned(replace(third, examples=rows), tmp_path)
    rows = tuple(replace(example, split="test") for example in third.examples)
    with pytest.raises(DatasetError, match=r"the group lot-\d+ is in this test, but snapshot [0-9a-f]+ trained on it"):
        prove_pinned(replace(third, examples=rows), tmp_path)


def test_a_snapshot_without_anything_new_is_its_parent(plates: Dataset) -> None:
    first = take_snapshot(plates, licence=Licence(), seed=0)
    assert take_snapshot(plates, licence=Licence(), seed=3, parent=first) is first
