"""What a successor has forgotten of its parent is measured on the parent's test images, and said."""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainer.conftest import order_for, write_labels
from trainer.bases.backbone import BaseModel
from trainer.evaluation.report import Estimate
from trainer.forgetting import Kept, forgetting, in_words, judge_of, losses_in_words
from trainer.network import Network
from trainer.retrain import retrain
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.snapshot import Snapshot
from trainer.trained import TrainedModel

PROBE = TrainingSettings(strategy="probe", flips="none")


def turned(model: TrainedModel) -> TrainedModel:
    """The model with every answer the other way round."""
    network = copy.deepcopy(model.module)
    assert isinstance(network, Network)
    network.head.weight.data.neg_()
    network.head.bias.data.neg_()
    return replace(model, module=network)


def on_sites(model: TrainedModel, *names: str) -> TrainedModel:
    """The model with its images dealt to these sites by label and turn."""
    seen: dict[str, int] = {}
    examples = []
    for example in model.snapshot.examples:
        turn = seen[example.label] = seen.get(example.label, -1) + 1
        order = {"order": "order-1"} if turn % 4 == 0 else {}
        examples.append(replace(example, site=names[turn % len(names)], attributes=order))
    return replace(model, snapshot=replace(model.snapshot, examples=tuple(examples)))


def test_the_same_model_has_forgotten_nothing(first_model: TrainedModel) -> None:
    [everything] = forgetting(first_model, judge_of(first_model.record, first_model.module))
    assert everything.before == everything.after
    assert everything.difference == Estimate(value=0.0, low=0.0, high=0.0)
    assert everything.images == len(first_model.snapshot.of("test"))
    assert losses_in_words([everything]) == []


def test_a_model_that_answers_the_other_way_round_has_forgotten_and_says_so(first_model: TrainedModel) -> None:
    kept = forgetting(first_model, judge_of(first_model.record, turned(first_model).module))
    assert kept[0].difference.value is not None
    assert kept[0].difference.value < -0.3
    [sentence] = losses_in_words(kept[:1])
    assert sentence.startswith(f"FORGETS: on {kept[0].images} old test images balanced accuracy fell from")
    assert "| all |" in "\n".join(in_words(kept))


def test_sister_sites_and_conditions_are_asked_about_apart(first_model: TrainedModel) -> None:
    parent = on_sites(first_model, "hall-a", "hall-b")
    kept = forgetting(parent, judge_of(first_model.record, first_model.module))
    found = {(each.by, each.value): each.images for each in kept}
    assert {("all", ""), ("site", "hall-a"), ("site", "hall-b")} <= set(found)
    assert found["site", "hall-a"] + found["site", "hall-b"] == found["all", ""]
    assert any(by == "condition" and value == "home" for by, value in found)
    assert "| of site hall-b |" in "\n".join(in_words(kept))


@pytest.mark.parametrize(
    ("difference", "lost"),
    [
        (Estimate(value=-0.05, low=-0.09, high=-0.01), True),
        (Estimate(value=-0.05, low=-0.25, high=0.15), False),  # within one standard error
        (Estimate(value=-0.008, low=-0.009, high=-0.007), False),  # less than a point
        (Estimate(value=0.05, low=0.01, high=0.09), False),
        (Estimate(value=-0.5), False),  # a single group tells nothing
    ],
)
def test_a_loss_is_loud_beyond_a_point_and_a_standard_error(difference: Estimate, lost: bool) -> None:
    assert Kept(by="all", images=9, before=0.9, after=0.9, difference=difference).lost == lost


def test_retrain_is_compared_with_its_parent_where_its_run_is_there(
    snapshot: Snapshot, small_base: BaseModel, tmp_path: Path
) -> None:
    first = train(snapshot, small_base, settings=PROBE, out=tmp_path / "run", workspace=tmp_path / "space")
    order = order_for(write_labels(tmp_path / "labels"), first)
    second = retrain(order, tmp_path / "space", tmp_path / "second")
    [everything] = second.record.details["forgetting"]
    assert everything["images"] == len(snapshot.of("test"))
    assert "## What it has kept of its parent" in (second.folder / "card.md").read_text()
    assert "forgetting" not in first.record.details
    shutil.rmtree(first.folder)
    third = retrain(order, tmp_path / "space", tmp_path / "third")
    assert third.record.model_sha256 == second.record.model_sha256
    assert third.record.details["forgetting"] == []
    assert "the parent's run folder is not to be found" in third.record.cannot_promise[0]
