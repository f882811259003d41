"""A tiny plant: grey plates with or without a dark spot, and a small network with random weights."""

import csv
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from contracts.bundle import Licence
from contracts.orders import Retrain
from contracts.preprocessing import Preprocessing
from trainer.bases.backbone import BaseModel
from trainer.dataset import Dataset, read_manifest
from trainer.features import Features
from trainer.maps import Pixels
from trainer.rounds.head import Head
from trainer.rounds.lesson import Lesson
from trainer.run import train
from trainer.settings import StrategyName, TrainingSettings
from trainer.snapshot import Snapshot, take_snapshot
from trainer.strategy import RECIPES, Recipe
from trainer.trained import TrainedModel

PlateMaker = Callable[..., Path]


def draw_plate(path: Path, *, spotted: bool, seed: int, light: int = 130) -> None:
    """A 48x48 plate; the spot lies anywhere."""
    rng = np.random.default_rng(seed)
    plate = rng.normal(light, 12, (48, 48))
    if spotted:
        top, left = rng.integers(4, 32, 2)
        plate[top : top + 12, left : left + 12] -= 70
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(plate, 0, 255).astype(np.uint8)).save(path)


def make_small_base() -> BaseModel:
    """A small ResNet with random weights."""
    return BaseModel(
        id="small (random)",
        architecture="resnet18",
        model_args={"layers": [1, 1, 1, 1], "channels": [16, 24, 32, 48], "stem_type": "deep", "stem_width": 8},
        width=48,
        height=48,
        licence=Licence(licence="Apache-2.0"),
    )


@pytest.fixture(scope="session")
def small_base() -> BaseModel:
    return make_small_base()


@pytest.fixture(scope="session")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """64 plates, half of them spotted, in lots of two."""
    folder = tmp_path_factory.mktemp("plates")
    rows = ["path,label,group"]
    for number in range(64):
        draw_plate(folder / f"{number}.png", spotted=number % 2 == 1, seed=number)
        rows.append(f"{number}.png,{'spot' if number % 2 else 'good'},lot-{number // 2}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return read_manifest(folder / "manifest.csv")


@pytest.fixture(scope="session")
def snapshot(plates: Dataset) -> Snapshot:
    return take_snapshot(plates, licence=Licence(owner="plant", licence="our own"), seed=0)


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="session")
def first_model(snapshot: Snapshot, small_base: BaseModel, workspace: Path) -> TrainedModel:
    settings = TrainingSettings(yardstick=True)
    out = workspace / "runs" / "first"
    return train(snapshot, small_base, settings=settings, out=out, site="plant-1", workspace=workspace)


def small_lesson(count: int, *, seed: int = 0, side: int = 32) -> Lesson:
    """Noisy images, every other one of the second class, with a bright corner; two of a group."""
    images = torch.randint(40, 120, (count, 1, 3, side, side), generator=torch.Generator().manual_seed(seed))
    images[1::2, :, :, : side // 2, : side // 2] += 100
    spec = Preprocessing(width=side, height=side, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    features = Features(Pixels(images.byte(), spec, ("",)), torch.empty(count, 1, 1, 1), torch.empty(count, 1))
    targets = torch.eye(2)[torch.arange(count) % 2]
    return Lesson(features, targets, torch.ones(count), groups=tuple(str(row // 2) for row in range(count)))


def blank_head(width: int) -> Head:
    """It says nothing yet."""
    return Head(torch.zeros(width), torch.ones(width), torch.zeros(2, width), torch.zeros(2))


def recipe(name: StrategyName, **changes: Any) -> Recipe:
    """The strategy's, changed."""
    found = RECIPES[name]
    assert found is not None
    return replace(found, **changes)


def shorten(monkeypatch: pytest.MonkeyPatch, name: StrategyName, **changes: int) -> None:
    """For this test the strategy's schedule is another one."""
    monkeypatch.setitem(RECIPES, name, recipe(name, **changes))


def write_labels(folder: Path, *, gate_wrong: bool = False, only_gate: bool = False) -> Path:
    """48 plates in bright light, every fourth for the gate."""
    path = folder / "labels.csv"
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "group", "part_id", "source", "split"))
        for number in range(48):
            spotted, gate = number % 2 == 1, only_gate or number % 4 >= 2
            draw_plate(folder / f"{number}.png", spotted=spotted, seed=1000 + number, light=200)
            said = spotted != (gate and gate_wrong)
            split = "gate" if gate else "train"
            writer.writerow((f"{number}.png", "spot" if said else "good", "", f"p-{number}", "drift-sample", split))
    return path


def order_for(labels: Path, first: TrainedModel) -> Retrain:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Retrain(
        order_id="order-7", issued_at=now, expires_at=now + timedelta(hours=1), reason="test", site="plant-1",
        product="default", parent_bundle="a" * 64, base_snapshot=first.snapshot.hash, labels_manifest=str(labels),
    )  # fmt: skip
