"""Two strategies compete: who enters, who wins, and what is said about it."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from trainer import contest as contest_module
from trainer.attempt import Attempt
from trainer.bases.backbone import BaseModel
from trainer.contest import candidates, cheapest, comparable_losses, shared_images
from trainer.dataset import Example
from trainer.evidence import standard_error
from trainer.run import train
from trainer.settings import StrategyName, TrainingSettings
from trainer.snapshot import Snapshot
from trainer.strategy import RECIPES
from trainer.workspace import recall_site


@pytest.mark.parametrize(
    ("images", "distance", "names"),
    [
        (40, 2.0, ("probe", "tail")),
        (300, 0.2, ("probe", "tail")),
        (300, None, ("probe", "tail")),
        (300, 0.9, ("tail", "full")),
        (2000, 0.1, ("tail", "full")),
    ],
)
def test_few_and_near_images_move_little(images: int, distance: float | None, names: tuple[str, str]) -> None:
    assert candidates(images, distance) == names


def winner(cheap: Tensor, dear: Tensor, groups: list[str] | None = None) -> str:
    number, behind, error = cheapest([cheap, dear], groups or [str(number) for number in range(len(cheap))])
    assert number == 0 or behind == 0.0
    assert error >= 0.0
    return ["cheap", "dear"][number]


def test_cheaper_one_wins_within_one_standard_error() -> None:
    generator = torch.Generator().manual_seed(0)
    dear = torch.rand(100, generator=generator, dtype=torch.float64)
    noise = torch.randn(100, generator=generator, dtype=torch.float64)
    noise -= noise.mean()
    assert winner(dear + 0.05 + noise, dear) == "cheap"  # error about 0.1
    assert winner(dear + 0.5 + noise, dear) == "dear"
    assert winner(dear - 0.5, dear) == "cheap"


def test_groups_widen_the_error() -> None:
    dear = torch.zeros(40, dtype=torch.float64)
    cheap = torch.tensor([1.0] * 20 + [-0.6] * 20, dtype=torch.float64)  # 0.2 above on average
    assert winner(cheap, dear) == "dear"
    assert winner(cheap, dear, groups=["a"] * 20 + ["b"] * 20) == "cheap"


def test_what_is_behind_the_cheapest_is_never_chosen() -> None:
    generator = torch.Generator().manual_seed(0)
    best = torch.zeros(50, dtype=torch.float64)
    first = best + 0.1
    noisy = best + 0.2 + 5 * torch.randn(50, generator=generator, dtype=torch.float64)
    noisy += 0.2 - noisy.mean()  # within its own wide error of the best, but behind the first
    assert cheapest([first, noisy, best], [str(number) for number in range(50)])[0] == 2


def made(labels: tuple[str, ...], rows: list[tuple[str, str]], logits: list[list[float]]) -> Attempt:
    """An attempt that has held out these (hash, label)."""
    held_out = tuple(Example(Path("x"), label, group=name, sha256=name) for name, label in rows)
    good = torch.tensor([label == "good" for label in labels])
    course = SimpleNamespace(
        labels=labels, good=("good",), good_mask=lambda: good, settings=SimpleNamespace(label_noise=0.03)
    )
    taught = SimpleNamespace(held_out=held_out, logits=torch.tensor(logits))
    return cast(Attempt, SimpleNamespace(course=course, taught=taught, seconds=1.0))


ROWS = [("a", "good"), ("b", "bad"), ("c", "good"), ("d", "bad")]
SURE = [[2.0, -2.0], [-2.0, 2.0], [2.0, -2.0], [-2.0, 2.0]]


def test_losses_compare_the_same_images_with_the_same_weights() -> None:
    own = made(("good", "bad"), ROWS, SURE)
    others = [(f"x{number}", "good") for number in range(9)]
    pooled = made(("good", "bad"), [*others, *reversed(ROWS)], [[3.0, -3.0]] * 9 + SURE[::-1])
    images = shared_images([own, pooled])
    assert [image.sha256 for image in images] == ["a", "b", "c", "d"]
    one, other = comparable_losses([own, pooled], images)
    assert torch.allclose(one, other), "equal answers cost the same, whatever else was held out"


def test_losses_compare_good_and_defect_where_classes_differ() -> None:
    two = made(("good", "bad"), ROWS, SURE)
    three = made(("good", "bad", "worse"), ROWS, [[*row, -30.0] for row in SURE])
    one, other = comparable_losses([two, three], shared_images([two, three]))
    assert torch.allclose(one, other, atol=1e-4)


def test_standard_error_of_single_images_is_the_usual_one() -> None:
    values = torch.arange(10, dtype=torch.float64)
    usual = float(values.std()) / math.sqrt(10)
    assert standard_error(values, [str(n) for n in range(10)]) == pytest.approx(usual)
    assert standard_error(values, ["one"] * 10) == math.inf


def test_auto_tries_two_writes_why_and_later_trainings_keep_the_choice(
    snapshot: Snapshot, small_base: BaseModel, tmp_path: Path
) -> None:
    settings = TrainingSettings(strategy="auto")
    model = train(snapshot, small_base, settings=settings, out=tmp_path / "run", workspace=tmp_path / "space")
    found: dict[str, Any] = model.record.details["contest"]
    assert set(found["attempts"]) == {"probe", "tail"}
    losses = {name: numbers["held_out_loss"] for name, numbers in found["attempts"].items()}
    winner = model.record.details["strategy"]
    assert losses[winner] <= min(losses.values()) or winner == "probe"
    assert any(f"Chosen: {winner}" in reason for reason in found["reasons"])
    assert f"- strategy: {winner}. Candidates probe and tail" in (model.folder / "card.md").read_text()
    assert model.record.lineage.training["strategy"] == winner
    assert recall_site(tmp_path / "space", model.record.site, model.record.product).settings.strategy == winner
    assert not (tmp_path / "run" / "checkpoint").exists()


def test_strategy_that_would_break_the_budget_is_not_begun(
    snapshot: Snapshot, small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contest_module, "expected_seconds", lambda task, settings: 7200.0)
    model = train(snapshot, small_base, settings=TrainingSettings(strategy="auto"), out=tmp_path)
    found = model.record.details["contest"]
    assert set(found["attempts"]) == {"probe"}
    assert any("tail was not tried: its steps would take 7200 s" in reason for reason in found["reasons"])


def test_expected_time_grows_with_the_steps(
    snapshot: Snapshot, small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contest_module, "step_seconds", lambda *_, **__: 0.5)
    task = contest_module.Task(
        snapshot, small_base, tmp_path, None, until=math.inf, resume=False, progress=lambda *_, **__: None
    )
    names: tuple[StrategyName, ...] = ("full", "tail")
    for name in names:
        recipe = RECIPES[name]
        assert recipe is not None
        expected = contest_module.expected_seconds(task, TrainingSettings(strategy=name))
        assert expected == 3 * recipe.fewest_steps * 0.5, "three rounds of the fewest steps"
    assert contest_module.expected_seconds(task, TrainingSettings(strategy="probe")) == 0.0
