"""A successor may learn a sample of the old images again: whole groups, every class, the test as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from contracts.bundle import Licence
from tests.trainer.conftest import order_for, write_labels
from trainer.bases.backbone import BaseModel
from trainer.dataset import Dataset, Example
from trainer.replay import replayed
from trainer.retrain import grow, retrain
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.snapshot import Snapshot, take_snapshot
from trainer.split import group_of


def old_and_new(base: Snapshot, *, new: int = 6) -> Snapshot:
    """The base with some images of an order, as a retrain has it."""
    like = base.of("train")[:new]
    fresh = [
        replace(example, sha256=f"{number:064x}", group=f"new-{number}", attributes={"order": "order-7"})
        for number, example in enumerate(like)
    ]
    return Snapshot((*base.examples, *fresh), base.licence, parent=base.hash)


def resting(snapshot: Snapshot) -> tuple[Example, ...]:
    return snapshot.of("rest")


def test_without_a_number_or_with_a_large_one_everything_is_learned_again(snapshot: Snapshot) -> None:
    grown = old_and_new(snapshot)
    assert replayed(grown, snapshot, most=None, seed=0) is grown
    assert replayed(grown, snapshot, most=len(snapshot.of("train")), seed=0) is grown


@pytest.mark.parametrize("most", [4, 20])
def test_sample_has_whole_groups_of_every_class_and_all_new_images(snapshot: Snapshot, most: int) -> None:
    grown = old_and_new(snapshot)
    sample = replayed(grown, snapshot, most=most, seed=0)
    learned, rest = sample.of("train"), resting(sample)
    old = [example for example in learned if "order" not in example.attributes]
    assert abs(len(old) - most) <= 2
    assert len(learned) - len(old) == 6
    assert {example.label for example in old} == {"good", "spot"}
    assert not {group_of(example) for example in old} & {group_of(example) for example in rest}
    assert sample.of("validation", "test", "gate") == grown.of("validation", "test", "gate")
    assert sample.parent == snapshot.hash
    assert sample.hash != grown.hash


def test_sample_leaves_something_marked_to_learn_from(snapshot: Snapshot) -> None:
    grown = old_and_new(snapshot)
    spots = [n for n, example in enumerate(grown.examples) if example.split == "train" and example.label == "spot"]
    for number in spots:
        marks = {"bbox_xyxy": "2 2 9 9" if number == spots[-7] else "0 0 0 0"}
        grown = replace(
            grown,
            examples=tuple(
                replace(each, attributes={**each.attributes, **marks}) if at == number else each
                for at, each in enumerate(grown.examples)
            ),
        )
    marked = group_of(grown.examples[spots[-7]])
    for seed in range(8):
        sample = replayed(grown, snapshot, most=4, seed=seed)
        assert marked in {group_of(example) for example in sample.of("train")}


def test_sample_follows_from_the_seed(snapshot: Snapshot) -> None:
    grown = old_and_new(snapshot)
    one, again, other = (replayed(grown, snapshot, most=20, seed=seed) for seed in (1, 1, 2))
    assert one.hash == again.hash
    assert one.hash != other.hash


def test_no_class_is_left_out_however_small_the_sample(snapshot: Snapshot) -> None:
    rare = [
        replace(example, label="scratch") if example.sha256 == snapshot.of("train")[0].sha256 else example
        for example in snapshot.examples
    ]
    base = Snapshot(tuple(rare), snapshot.licence)
    sample = replayed(old_and_new(base), base, most=2, seed=0)
    old = [example for example in sample.of("train") if "order" not in example.attributes]
    assert {example.label for example in old} == {"good", "spot", "scratch"}


def test_what_rests_is_trained_on_and_never_tested_on_later(snapshot: Snapshot, plates: Dataset) -> None:
    sample = replayed(old_and_new(snapshot), snapshot, most=4, seed=0)
    assert resting(sample)
    later = take_snapshot(plates, licence=Licence(owner="x", licence="y"), seed=9, parent=sample)
    split = {example.sha256: example.split for example in later.examples}
    assert {split[example.sha256] for example in resting(sample)} == {"train"}
    stated = replace(plates, examples=sample.examples[: len(plates.examples)])
    again = take_snapshot(stated, licence=Licence(owner="x", licence="y"), seed=9)
    assert not resting(again), "a manifest that says rest means images to train on"


def test_retrain_learns_a_sample_and_the_next_one_draws_from_all(
    snapshot: Snapshot, small_base: BaseModel, tmp_path: Path
) -> None:
    settings = TrainingSettings(strategy="probe", flips="none")
    first = train(snapshot, small_base, settings=settings, out=tmp_path / "run", workspace=tmp_path / "space")
    order = order_for(write_labels(tmp_path / "labels"), first)
    sparing = settings.model_copy(update={"replay": 12})
    second = retrain(order, tmp_path / "space", tmp_path / "second", settings=sparing)
    assert second.record.lineage.training["replay"] == 12
    old = {example.sha256 for example in snapshot.of("train")}
    learned = [example for example in second.snapshot.of("train") if example.sha256 in old]
    assert abs(len(learned) - 12) <= 2
    assert "- rest: " in (card := (second.folder / "card.md").read_text())
    assert second.record.lineage.changed == {"replay": 12}
    assert "- otherwise than in the site's first training: replay = 12\n" in card
    assert "changed" not in first.record.model_dump(mode="json")["lineage"], "nothing was told, nothing is written"
    following = grow(second.snapshot, (), order)
    assert old <= {example.sha256 for example in following.of("train")}
