"""Where the computing happens: as asked, said clearly where that cannot be, and the same bytes on the processor."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from contracts.errors import ConfigurationError
from contracts.preprocessing import Preprocessing
from contracts.tasks import LocationGrid, Tasks
from tests.trainer.conftest import recipe, shorten
from trainer.bases.backbone import BaseModel, load_base_model
from trainer.bases.ranking import rank
from trainer.device import CPU, device_for, device_of, placed, precision
from trainer.evaluate import predict
from trainer.evaluation.judge import evaluate
from trainer.evaluation.tasks import ask_beside
from trainer.network import Network
from trainer.outset import set_out
from trainer.rounds.kept import Check, Judges, Kept
from trainer.rounds.lora import LowRank, adapt
from trainer.rounds.standing import Standing
from trainer.run import train
from trainer.settings import DeviceName, StrategyName, TrainingSettings
from trainer.snapshot import Snapshot
from trainer.trained import TrainedModel, load_run

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no NVIDIA GPU on this machine")
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


@without_gpu
def test_cuda_without_a_gpu_names_the_remedy(snapshot: Snapshot, small_base: BaseModel, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"device cuda: torch .* on this machine; say --device cpu"):
        train(snapshot, small_base, settings=TrainingSettings(device="cuda"), out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_auto_is_the_processor_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for found, expected in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda found=found: found)
        assert device_for("auto").type == expected
        assert device_for("cpu") == CPU


@without_gpu
def test_auto_without_a_gpu_gives_the_same_bytes(
    snapshot: Snapshot, small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch, "tail", fewest_steps=10, passes=1, checks=2)
    wanted: tuple[DeviceName, ...] = ("cpu", "auto")
    one, other = (
        train(snapshot, small_base, settings=TrainingSettings(device=name, flips="none"), out=tmp_path / name)
        for name in wanted
    )
    assert one.record.model_sha256 == other.record.model_sha256
    assert other.record.details["device"] == "cpu"


def test_network_on_the_processor_is_left_as_it_is() -> None:
    layer = nn.Conv2d(3, 4, 3)
    assert placed(layer, CPU) is layer
    assert layer.weight.is_contiguous()
    assert device_of(nn.Identity()) == CPU


def test_processor_computes_a_frozen_stem_in_float32() -> None:
    with precision(CPU, whole=False):
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.float32


ELSEWHERE = torch.device("meta")
"""A device that is everywhere: it has shapes and no values."""


def test_adapters_lie_where_their_layers_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LowRank, "forward", lambda _, weight: weight)
    layer = nn.Conv2d(8, 12, 1, device=ELSEWHERE)
    adapt(nn.ModuleList([layer]), rank=4, seed=0)
    assert {parameter.device for parameter in layer.parameters()} == {ELSEWHERE}


@pytest.mark.filterwarnings("ignore:for .*a no-op")  # a device without values takes none
def test_a_round_goes_on_where_its_network_lies(small_base: BaseModel) -> None:
    standing = standing_of(Network(load_base_model(small_base)[0], 2))
    for weight in standing.model.parameters():
        weight.grad = torch.zeros_like(weight)
    standing.optimizer.step()
    again = standing_of(Network(load_base_model(small_base)[0], 2).to(ELSEWHERE))
    again.restore(standing.tensors(), standing.about())
    for weight in again.model.parameters():
        state = again.optimizer.state[weight]
        assert (state["exp_avg"].device, state["exp_avg_sq"].device) == (ELSEWHERE, ELSEWHERE)
        assert state["step"].device == CPU


def standing_of(network: Network) -> Standing:
    optimizer = torch.optim.AdamW(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=4)
    check = Check(0, math.nan, math.inf, torch.empty(0, 2))
    kept = Kept(recipe("tail"), Judges(torch.empty(0, 2), torch.empty(0)), check, check, copy.deepcopy(network))
    return Standing(network, copy.deepcopy(network), optimizer, schedule, kept, [check], [], 1.0)


def test_further_tasks_are_asked_where_the_network_lies(
    snapshot: Snapshot, small_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = Tasks(location=LocationGrid(rows=2, columns=2))
    network = Network(load_base_model(small_base)[0], 2, tasks=tasks).eval().to(ELSEWHERE)
    asked: list[torch.device] = []

    def answered(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        asked.append(x.device)
        return (*(torch.zeros(len(x), 2),) * 2, torch.zeros(len(x), 2, 2), torch.zeros(len(x), 4, 2, 2))

    monkeypatch.setattr(network, "everything", answered)
    spec = Preprocessing(width=48, height=48, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))
    assert len(ask_beside(network, snapshot.of("test")[:3], spec)) == 3
    assert asked == [ELSEWHERE]


@pytest.mark.optional
@needs_gpu
@pytest.mark.parametrize("strategy", ["probe", "tail", "full", "lora"])
def test_gpu_trains_a_model_that_answers_alike_on_the_processor(
    strategy: StrategyName, snapshot: Snapshot, small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if strategy != "probe":
        shorten(monkeypatch, strategy, fewest_steps=20, passes=1)
    settings = TrainingSettings(strategy=strategy, device="cuda", flips="none")
    model = train(snapshot, small_base, settings=settings, out=tmp_path / "run", workspace=tmp_path / "space")
    assert model.record.details["device"].startswith("cuda")
    assert all(tensor.device == CPU for tensor in load_file(model.folder / "model.safetensors").values())
    test, spec = snapshot.of("test"), model.record.preprocessing
    here = predict(model.module, test, spec)
    there = predict(placed(model.module, torch.device("cuda")), test, spec)
    assert there.device == CPU
    assert torch.allclose(here, there, atol=0.05)


@pytest.mark.optional
@needs_gpu
def test_gpu_judges_and_ranks_alike(first_model: TrainedModel, small_base: BaseModel) -> None:
    here = evaluate(load_run(first_model.folder))
    there = evaluate(load_run(first_model.folder), device="cuda")
    assert there.balanced_accuracy.value == pytest.approx(here.balanced_accuracy.value, abs=0.05)
    examples = first_model.snapshot.of("train")
    one, other = (rank([small_base], examples, device=torch.device(name))[0] for name in ("cpu", "cuda"))
    assert other.evidence == pytest.approx(one.evidence, abs=0.05)


@pytest.mark.optional
@needs_gpu
def test_gpu_and_processor_do_not_share_cached_features(small_base: BaseModel, snapshot: Snapshot) -> None:
    from trainer.attempt import preprocessing

    stems = []
    for name in ("cpu", "cuda"):
        settings = TrainingSettings(device="cpu" if name == "cpu" else "cuda")
        stems.append(set_out(small_base, snapshot.labels, ("good",), settings, preprocessing(small_base, settings))[1])
    assert stems[0].base != stems[1].base
