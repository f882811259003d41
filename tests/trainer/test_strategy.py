"""What each strategy learns, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from contracts.preprocessing import Preprocessing
from tests.trainer.conftest import shorten
from trainer.bases.backbone import BaseModel, load_base_model
from trainer.features import Features
from trainer.maps import Cached, Pixels
from trainer.network import Network, settle_statistics
from trainer.rounds.kept import Check, Judges, Kept
from trainer.rounds.lesson import Lesson
from trainer.run import train
from trainer.settings import StrategyName, TrainingSettings
from trainer.snapshot import Snapshot
from trainer.strategy import RECIPES
from trainer.threshold import best_temperature
from trainer.trained import TrainedModel
from trainer.views import FLIPS, drawn

SPEC = Preprocessing(width=16, height=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def trained(snapshot: Snapshot, base: BaseModel, out: Path, strategy: StrategyName, seed: int = 0) -> TrainedModel:
    return train(snapshot, base, settings=TrainingSettings(strategy=strategy, seed=seed), out=out)


def stage(model: TrainedModel, number: int) -> list[Tensor]:
    network = model.module
    assert isinstance(network, Network)
    return [tensor.clone() for tensor in network.stages[number].state_dict().values()]


def pretrained_stage(base: BaseModel, number: int, seed: int = 0) -> list[Tensor]:
    network = Network(load_base_model(base, seed=seed)[0], 2)
    return [tensor.clone() for tensor in network.stages[number].state_dict().values()]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few steps: enough to change weights, not to learn."""
    shorten(monkeypatch, "full", fewest_steps=20, passes=1)
    shorten(monkeypatch, "scratch", fewest_steps=20, passes=1)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("strategy", "first_stays", "last_stays"), [("probe", True, True), ("tail", True, False), ("full", False, False)]
)
def test_strategy_learns_as_much_of_the_network_as_it_says(
    strategy: StrategyName, first_stays: bool, last_stays: bool,
    snapshot: Snapshot, small_base: BaseModel, tmp_path: Path,
) -> None:  # fmt: skip
    model = trained(snapshot, small_base, tmp_path, strategy)
    assert same(stage(model, 0), pretrained_stage(small_base, 0)) == first_stays
    assert same(stage(model, -1), pretrained_stage(small_base, -1)) == last_stays


def test_whole_network_learns_to_tell_spotted_plates(
    snapshot: Snapshot, small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch, "full", fewest_steps=100)
    model = trained(snapshot, small_base, tmp_path, "full")
    assert (model.record.test_metrics.auroc or 0.0) >= 0.9
    assert model.record.lineage.training["strategy"] == "full"


@pytest.mark.usefixtures("short")
def test_whole_network_is_the_same_for_the_same_seed(snapshot: Snapshot, small_base: BaseModel, tmp_path: Path) -> None:
    once = trained(snapshot, small_base, tmp_path / "a", "full").record.model_sha256
    assert trained(snapshot, small_base, tmp_path / "b", "full").record.model_sha256 == once


@pytest.mark.usefixtures("short")
def test_scratch_ignores_the_weights(snapshot: Snapshot, first_model: TrainedModel, tmp_path: Path) -> None:
    weights = tmp_path / "known.safetensors"
    weights.write_bytes((first_model.folder / "model.safetensors").read_bytes())  # no such names: loading would fail
    base = first_model.record.base_model.model_copy(update={"weights": weights})
    model = trained(snapshot, base, tmp_path / "run", "scratch")
    assert model.record.lineage.base_model_sha256 is None


def test_settled_statistics_make_eval_answer_as_training_would(small_base: BaseModel) -> None:
    network = Network(load_base_model(small_base)[0], 2).eval()
    images = torch.randn(32, 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 3 + 1
    with torch.no_grad():
        before = network(images)[1]
        momenta = [m.momentum for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        settle_statistics(network, [images])
        settled = network(images)[1]
        network.stages.train()
        training = network(images)[1]
    assert torch.allclose(settled, training, rtol=0.05, atol=0.05 * float(training.abs().max()))
    assert not torch.allclose(before, training, rtol=0.05, atol=0.05 * float(training.abs().max()))
    assert [m.momentum for m in network.modules() if isinstance(m, nn.BatchNorm2d)] == momenta


def test_every_strategy_has_a_recipe() -> None:
    assert {*RECIPES, "auto"} == set(StrategyName.__args__)  # type: ignore[attr-defined]


def test_pixels_are_seen_anew_and_kept_as_they_are() -> None:
    images = torch.randint(0, 256, (6, 1, 3, 16, 16), dtype=torch.uint8)
    pixels = Pixels(images, SPEC, FLIPS["square"])
    torch.manual_seed(0)
    first, second = pixels.drawn(), pixels.drawn()
    assert first.shape == (6, 3, 16, 16)
    assert not torch.equal(first, second)
    assert torch.equal(pixels.plain(), pixels.plus(pixels.rows(torch.tensor([1]))).plain()[:6])
    assert len(pixels.plus(pixels.rows(torch.tensor([1])))) == 7


def test_looks_mirror_only_as_allowed() -> None:
    left = torch.zeros(40, 3, 16, 16)
    left[..., :8] = 200.0
    torch.manual_seed(0)
    sides = drawn(left, ("",))[:, 0].mean(1)  # [n, w]
    assert bool((sides[:, 2] > sides[:, 13]).all())
    torch.manual_seed(0)
    sides = drawn(left, ("", "h"))[:, 0].mean(1)
    mirrored = int((sides[:, 2] < sides[:, 13]).sum())
    assert 8 <= mirrored <= 32


@pytest.mark.usefixtures("short")
def test_whole_network_needs_no_validation_split(snapshot: Snapshot, small_base: BaseModel, tmp_path: Path) -> None:
    merged = tuple(replace(e, split="train" if e.split == "validation" else e.split) for e in snapshot.examples)
    model = trained(Snapshot(merged, snapshot.licence), small_base, tmp_path, "full")
    assert model.record.test_metrics.examples == len(snapshot.of("test"))


def held_out(groups: int) -> Lesson:
    """Of 40 images, half of them of the second class."""
    targets = torch.eye(2)[torch.arange(40) % 2]
    features = Features(Cached(torch.empty(40, 1, 1, 1, 1, 1)), torch.empty(40, 1, 1, 4), torch.empty(40, 1))
    return Lesson(features, targets, torch.ones(40), groups=tuple(str(n % groups) for n in range(40)))


def check(step: int, lesson: Lesson, *, noise: float, seed: int = 0) -> Check:
    drawn = torch.randn(40, 2, generator=torch.Generator().manual_seed(seed))
    logits = 2 * lesson.targets + noise * drawn
    _, loss = best_temperature(logits, lesson.targets, lesson.weights)
    return Check(step, 0.0, loss, logits)


@pytest.mark.parametrize(("latest", "groups", "kept_step"), [(True, 20, 2), (True, 1, 1), (False, 20, 1)])
def test_latest_weights_are_kept_where_they_cannot_be_told_from_the_best(
    latest: bool, groups: int, kept_step: int, small_base: BaseModel
) -> None:
    lesson = held_out(groups)
    recipe = RECIPES["full"]
    assert recipe is not None
    judges = Judges(lesson.targets, lesson.weights, lesson.groups)
    first = check(0, lesson, noise=5.0)
    network = Network(load_base_model(small_base)[0], 2)
    kept = Kept(replace(recipe, keeps_latest=latest), judges, first, first, network)
    alike = sorted((check(0, lesson, noise=2.0, seed=seed) for seed in (1, 2)), key=lambda each: each.held_out_loss)
    checks = [*(replace(each, step=step) for step, each in enumerate(alike, start=1)), check(3, lesson, noise=9.0)]
    assert first.held_out_loss > checks[1].held_out_loss > checks[0].held_out_loss
    for each in checks:
        kept.look(each, network)
    assert kept.best.step == kept_step
    assert kept.lowest is checks[0]
    assert kept.stale == 3 - kept_step
