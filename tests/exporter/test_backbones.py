"""Families without weights of their own here train in each way, export to int8 and are certified: random weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from contracts.bundle import Licence
from exporter.export import export
from exporter.fused import fused
from exporter.settings import ExportSettings
from runtime.targets.openvino_cpu import OpenvinoCpu
from tests.trainer.conftest import draw_plate, shorten
from trainer.bases.backbone import BaseModel, load_base_model
from trainer.dataset import read_manifest
from trainer.network import Network
from trainer.run import train
from trainer.settings import StrategyName, TrainingSettings
from trainer.snapshot import Snapshot, take_snapshot
from trainer.trained import TrainedModel, load_run

FAMILIES = {"mobilenetv3_small_050": 52, "regnetx_002": 44}
"""timm's names, and how many convolutions the network has (without MobileNetV3's behind the pooling)."""
WAYS: tuple[StrategyName, ...] = ("probe", "tail", "full")
FEW = ExportSettings(fault_images=0,
    calibration_images=8, calibrators=("minmax",), correction_images=4, max_drop=1.0, search_images=8, latency_runs=2,
    reference_images=20,
)  # fmt: skip


def base_model(architecture: str, folder: Path) -> BaseModel:
    """Without statistics of something the activations of random weights would vanish with the depth."""
    base = BaseModel(id="random", architecture=architecture, width=32, height=32)
    module, _ = load_base_model(base)
    for layer in module.train().modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            layer.momentum = None  # the mean over all batches
    with torch.no_grad():
        module(torch.randn(8, 3, 32, 32))
    save_file(dict(module.state_dict()), folder / "random.safetensors")
    return base.model_copy(update={"weights": folder / "random.safetensors"})


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    folder = tmp_path_factory.mktemp("plates")
    for number in range(32):
        label = "spot" if number % 2 else "good"
        draw_plate(folder / label / f"{number}.png", spotted=number % 2 == 1, seed=number)
    rows = [f"{path.relative_to(folder)},{path.parent.name},{path.stem}" for path in sorted(folder.rglob("*.png"))]
    (folder / "manifest.csv").write_text("\n".join(["path,label,group", *rows]) + "\n")
    return take_snapshot(read_manifest(folder / "manifest.csv"), licence=Licence(licence="our own"), seed=0)


@pytest.fixture(scope="module", params=FAMILIES)
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def trained(architecture: str, snapshot: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> dict[str, TrainedModel]:
    """One family, four steps in each way."""
    folder = tmp_path_factory.mktemp(architecture)
    base = base_model(architecture, folder)
    with pytest.MonkeyPatch.context() as patch:
        for way in ("tail", "full"):
            shorten(patch, way, fewest_steps=4, most_steps=4, checks=1, keeps_latest=True)
        return {
            way: train(snapshot, base, settings=TrainingSettings(strategy=way, flips="none"), out=folder / way)
            for way in WAYS
        }


def test_each_way_trains_what_it_says(trained: dict[StrategyName, TrainedModel]) -> None:
    probe, tail, full = (stages(trained[way]) for way in WAYS)
    learned = [changed(mine, theirs) for mine, theirs in zip(tail, probe, strict=True)]
    assert learned == sorted(learned)  # from some stage on, up to the top
    assert (learned[0], learned[-1]) == (False, True)
    assert changed(full[0], probe[0])


def stages(model: TrainedModel) -> list[nn.Module]:
    network = load_run(model.folder).module
    assert isinstance(network, Network)
    return list(network.stages)


def changed(mine: nn.Module, theirs: nn.Module) -> bool:
    return any(not torch.equal(a, b) for a, b in zip(mine.parameters(), theirs.parameters(), strict=True))


def test_the_bundle_runs_every_convolution_but_the_stem_in_int8_and_says_how_right_it_is(
    architecture: str, trained: dict[StrategyName, TrainedModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OpenvinoCpu, "unavailable", lambda self: "OpenVINO is not installed")
    bundle = export(trained["tail"], tmp_path / "bundle", settings=FEW)
    found = fused(bundle.path / "model.int8.onnx")
    assert len(found.convolutions) == FAMILIES[architecture]
    assert len(found.floating) == (0 if architecture == "regnetx_002" else 2)
    int8, fp32 = bundle.manifest.certificates
    assert fp32.passed
    assert fp32.argmax_agreement == 1.0
    assert int8.argmax_agreement >= 0.8
    assert int8.passed == (not int8.reasons)
