"""A curve that jumps: what counts as one, the one restart at half the rate, and where it is written down."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.trainer.conftest import blank_head, recipe, shorten, small_lesson
from trainer.bases.backbone import BaseModel, load_base_model
from trainer.evaluation.plots import training_curves
from trainer.network import Network
from trainer.rounds import finetune as module
from trainer.rounds.checkpoint import Checkpoint
from trainer.rounds.finetune import finetune
from trainer.rounds.jump import jump
from trainer.rounds.kept import Check, Judges, Tuned
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.snapshot import Snapshot
from trainer.strategy import Recipe
from trainer.threshold import best_temperature

TARGETS = torch.eye(2)[torch.arange(60) % 2]
JUDGES = Judges(TARGETS, torch.ones(60), [str(row // 2) for row in range(60)])


def check(*, right: float, step: int = 5, loss: float = 0.1) -> Check:
    """Answers of which a share is right, in no order that goes with the groups."""
    signs = (torch.rand(60, generator=torch.Generator().manual_seed(0)) < right).float() * 2 - 1
    logits = 3 * signs[:, None] * (TARGETS - 0.5)
    return Check(step, loss, best_temperature(logits, JUDGES.targets, JUDGES.weights)[1], logits)


def reason(check_: Check, *, judges: Judges = JUDGES, warm: bool = True, random: bool = False) -> str | None:
    return jump(check_, check(right=0.97, step=0), judges, recipe("full", from_random=random), warm=warm)


def test_losing_most_of_what_the_start_knew_is_a_jump() -> None:
    assert reason(check(right=0.5)) == "held-out loss 0.712 at step 5, 0.085 at the start"


def test_losing_a_little_is_none() -> None:
    assert reason(check(right=0.93)) is None
    assert reason(check(right=1.0)) is None


def test_what_few_groups_say_is_no_jump() -> None:
    together = replace(JUDGES, groups=["lot"] * 60)
    assert reason(check(right=0.5), judges=together) is None


def test_nothing_but_numbers_is_asked_for_while_rates_rise_and_of_random_weights() -> None:
    assert reason(check(right=0.5), warm=False) is None
    assert reason(check(right=0.5), random=True) is None
    for lost in (check(right=0.9, loss=math.nan), check(right=0.9, loss=math.inf)):
        assert reason(lost, warm=False, random=True) == "the training loss is not finite at step 5"
    lost = replace(check(right=0.9), held_out_loss=math.nan)
    assert reason(lost, warm=False, random=True) == "the held-out loss is not finite at step 5"


def test_without_held_out_images_the_training_loss_alone_tells() -> None:
    nobody = Judges(torch.empty(0, 2), torch.empty(0))
    unjudged = Check(5, 0.1, math.inf, torch.empty(0, 2))
    assert reason(unjudged, judges=nobody) is None
    assert reason(replace(unjudged, loss=math.nan), judges=nobody) is not None


def tuned(base: BaseModel, chosen: Recipe) -> tuple[Network, Tuned]:
    network = Network(load_base_model(base)[0], 2).eval()
    head = blank_head(network.head.in_features)
    return network, finetune(network, head, small_lesson(48), small_lesson(16, seed=1), cut=0, recipe=chosen, seed=0)


SHORT = recipe("full", fewest_steps=12, most_steps=12, checks=4)


def spoil(monkeypatch: pytest.MonkeyPatch, wrong: Callable[[int], bool]) -> None:
    """The loss of those steps, counted from 1 over all schedules, is not a number."""
    step, count = module._step, 0

    def counted(*arguments: object) -> float:
        nonlocal count
        count += 1
        found = step(*arguments)  # type: ignore[arg-type]
        return math.nan if wrong(count) else found

    monkeypatch.setattr(module, "_step", counted)


def test_jump_begins_the_round_anew_at_half_the_rate(small_base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    _, slower = tuned(small_base, replace(SHORT, rate=(SHORT.rate or 0.0) / 2))
    spoil(monkeypatch, lambda step: step == 5)
    _, found = tuned(small_base, SHORT)
    assert found.jumps == ("the training loss is not finite at step 6",)
    assert [(each.step, each.pace) for each in found.checks[:4]] == [(0, 1.0), (3, 1.0), (6, 1.0), (3, 0.5)]
    assert found.best.pace == 0.5
    one, other = found.network.state_dict(), slower.network.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one), "as if it had been trained so from the start"


def test_second_jump_keeps_the_best_weights_so_far(small_base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, lambda step: step in (5, 7))
    _, found = tuned(small_base, SHORT)
    assert len(found.jumps) == 2
    assert (found.best.step, found.best.pace) == (3, 1.0)
    assert all(tensor.isfinite().all() for tensor in found.network.state_dict().values())


def test_rates_that_tear_the_network_apart_end_with_the_start(small_base: BaseModel) -> None:
    network, found = tuned(small_base, replace(SHORT, rate=1e30))
    assert [why.split(" is ")[0] for why in found.jumps] == ["the training loss"] * 2
    assert found.best.step == 0
    same = zip(network.stages.parameters(), found.network.stages.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in same)


def test_ordinary_training_has_no_jump(small_base: BaseModel) -> None:
    _, found = tuned(small_base, replace(SHORT, fewest_steps=40, most_steps=40))
    assert found.jumps == ()
    assert {each.pace for each in found.checks} == {1.0}


def test_restart_stands_in_details_curves_and_card(
    snapshot: Snapshot, small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch, "tail", fewest_steps=12, passes=1)
    spoil(monkeypatch, lambda step: step == 3)
    model = train(snapshot, small_base, settings=TrainingSettings(flips="none"), out=tmp_path)
    assert model.record.details["restarts"] == ["round 1: the training loss is not finite at step 4"]
    said = "- begun again at half the learning rate where its curve jumped: round 1: the training loss is not finite"
    assert said in (tmp_path / "card.md").read_text(encoding="utf-8")
    rows = list(csv.DictReader((tmp_path / "curves.csv").read_text(encoding="utf-8").splitlines()))
    assert {row["pace"] for row in rows if row["round"] == "1"} == {"1.0", "0.5"}
    assert {row["pace"] for row in rows if row["round"] != "1"} == {"1.0"}
    assert all(sum(row["kept"] == "1" for row in rows if row["round"] == number) == 1 for number in "123")
    drawn = training_curves(tmp_path / "curves.csv")
    assert drawn is not None
    assert drawn.startswith(b"\x89PNG")


def test_finished_round_is_recalled_with_its_jumps(
    small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, lambda step: step == 5)
    network, found = tuned(small_base, SHORT)
    Checkpoint(tmp_path, "key").keep(0, found)
    recalled = Checkpoint(tmp_path, "key").recall(0, network)
    assert recalled is not None
    assert recalled.jumps == found.jumps
    assert [each.pace for each in recalled.checks] == [each.pace for each in found.checks]
