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
from trainer.backbone import BaseModel
from trainer.contest import candidates, choose, standard_error
from trainer.dataset import Example
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.snapshot import Snapshot
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


def attempt(strategy: str, groups: list[str]) -> Attempt:
    held_out = tuple(Example(Path("x"), "good", group=group) for group in groups)
    taught = SimpleNamespace(held_out=held_out)
    return cast(Attempt, SimpleNamespace(settings=SimpleNamespace(strategy=strategy), taught=taught, seconds=1.0))


def chosen(cheap: Tensor, dear: Tensor, groups: list[str] | None = None) -> str:
    names = groups or [str(number) for number in range(len(cheap))]
    number, said = choose([attempt("tail", names), attempt("full", names)], [cheap, dear])
    assert "Chosen: " + ["tail", "full"][number] in said[-1]
    return ["tail", "full"][number]


def test_cheaper_one_wins_within_one_standard_error() -> None:
    generator = torch.Generator().manual_seed(0)
    dear = torch.rand(100, generator=generator, dtype=torch.float64)
    noise = torch.randn(100, generator=generator, dtype=torch.float64)
    noise -= noise.mean()
    assert chosen(dear + 0.05 + noise, dear) == "tail"  # error about 0.1
    assert chosen(dear + 0.5 + noise, dear) == "full"
    assert chosen(dear - 0.5, dear) == "tail"


def test_groups_widen_the_error() -> None:
    dear = torch.zeros(40, dtype=torch.float64)
    cheap = torch.tensor([1.0] * 20 + [-0.6] * 20, dtype=torch.float64)  # 0.2 above on average
    assert chosen(cheap, dear) == "full"
    assert chosen(cheap, dear, groups=["a"] * 20 + ["b"] * 20) == "tail"


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
    assert recall_site(tmp_path / "space").settings.strategy == winner
    assert not (tmp_path / "run" / "checkpoint").exists()


def test_strategy_that_would_break_the_budget_is_not_begun(
    snapshot: Snapshot, small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contest_module, "expected_seconds", lambda task, settings: 7200.0)
    model = train(snapshot, small_base, settings=TrainingSettings(strategy="auto"), out=tmp_path)
    found = model.record.details["contest"]
    assert set(found["attempts"]) == {"probe"}
    assert any("tail was not tried: it would take 7200 s" in reason for reason in found["reasons"])


def test_expected_time_of_a_strategy_is_of_the_order_of_what_it_takes(
    snapshot: Snapshot, small_base: BaseModel, tmp_path: Path
) -> None:
    settings = TrainingSettings(strategy="full")
    task = contest_module.Task(
        snapshot, small_base, tmp_path, None, until=math.inf, resume=False, progress=lambda *_, **__: None
    )
    expected = contest_module.expected_seconds(task, settings)
    assert expected > 0.0
    assert contest_module.expected_seconds(task, TrainingSettings(strategy="probe")) == 0.0
