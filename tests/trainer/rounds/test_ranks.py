"""Several processes train one model: every rank ends with the same weights, which are those of a single process."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, distributed

from contracts.errors import ConfigurationError
from contracts.preprocessing import Preprocessing, Tiles
from contracts.tasks import LocationGrid, SeverityScale, Tasks
from tests.trainer.conftest import shorten
from trainer import course
from trainer.bases.backbone import BaseModel, load_base_model
from trainer.features import Features
from trainer.maps import Pixels
from trainer.network import Network
from trainer.rounds import ranks
from trainer.rounds.finetune import finetune
from trainer.rounds.kept import Tuned
from trainer.rounds.lesson import Lesson
from trainer.rounds.loss import loss_of
from trainer.run import load_run, train
from trainer.settings import StrategyName, TrainingSettings
from trainer.snapshot import Snapshot
from trainer.tasks import TaskLesson

_TRAIN = """
import sys
from dataclasses import replace
from pathlib import Path
from safetensors.torch import save_file
from torch import distributed
from trainer import course
from trainer.rounds import ranks
from trainer.bases.backbone import BaseModel
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.snapshot import load_snapshot
from trainer.strategy import RECIPES

snapshot, base, out = Path(sys.argv[1]), BaseModel.model_validate_json(sys.argv[2]), Path(sys.argv[3])
RECIPES["tail"] = replace(RECIPES["tail"], fewest_steps=12, passes=1, checks=2)
finetune = course.finetune

def noted(*args, **options):
    tuned = finetune(*args, **options)
    rank = distributed.get_rank() if distributed.is_initialized() else 0
    number = len(list(out.parent.glob(f"{out.name}-rank{rank}-*")))
    save_file(tuned.network.state_dict(), out.parent / f"{out.name}-rank{rank}-round{number}.safetensors")
    return tuned

course.finetune = noted
with ranks.joined(gpu=False):
    settings = TrainingSettings(flips="none")
    model = train(load_snapshot(snapshot), base, settings=settings, out=out, workspace=out.parent / "space")
    print("trained", model.record.model_sha256)
"""


def rounds(folder: Path, rank: int) -> list[dict[str, Tensor]]:
    return [load_file(path) for path in sorted(folder.glob(f"two-rank{rank}-round*"))]


def trained_alone(
    snapshot: Snapshot, base: BaseModel, out: Path, monkeypatch: pytest.MonkeyPatch
) -> list[dict[str, Tensor]]:
    """The weights of each round of the same training in this process."""
    shorten(monkeypatch, "tail", fewest_steps=12, passes=1, checks=2)
    found: list[dict[str, Tensor]] = []

    def noted(*args: Any, **options: Any) -> Tuned:
        tuned = finetune(*args, **options)
        found.append(tuned.network.state_dict())
        return tuned

    monkeypatch.setattr(course, "finetune", noted)
    train(snapshot, base, settings=TrainingSettings(flips="none"), out=out)
    return found


def test_two_processes_end_with_the_weights_of_one(
    snapshot: Snapshot, small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train.py").write_text(_TRAIN)
    words = [str(tmp_path / "train.py"), str(snapshot.save(tmp_path)), small_base.model_dump_json()]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    two = subprocess.run([*torchrun, *words, str(tmp_path / "two")], check=False, capture_output=True, text=True)
    assert two.returncode == 0, two.stderr
    alone = trained_alone(snapshot, small_base, tmp_path / "one", monkeypatch)
    said = [line for line in two.stdout.splitlines() if line.startswith("trained")]
    assert said == [f"trained {load_run(tmp_path / 'two').record.model_sha256}"] * 2
    first, second = (rounds(tmp_path, rank) for rank in (0, 1))
    assert len(first) == len(second) == len(alone) == 3
    for one, other, single in zip(first, second, alone, strict=True):
        for name, tensor in one.items():
            assert torch.equal(tensor, other[name]), f"{name} differs between the ranks"
            assert torch.allclose(tensor, single[name], atol=1e-4), name
    kept = load_run(tmp_path / "two").record.details["kept_steps"]
    assert any(step > 0 for step in kept), "the weights compared have learned"


def test_alone_everything_is_this_process_own() -> None:
    assert ranks.leads()
    assert not ranks.several()
    assert ranks.share(7) == slice(0, 7)
    with ranks.joined(gpu=False):
        assert not distributed.is_initialized()


@pytest.mark.parametrize("images", [1, 2, 7, 32])
def test_shares_are_all_of_a_batch_and_no_image_twice(images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "several", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 3)
    found: list[int] = []
    for rank in range(3):
        monkeypatch.setattr(distributed, "get_rank", lambda rank=rank: rank)
        found += range(images)[ranks.share(images)]
    assert found == list(range(images))


@pytest.mark.parametrize("strategy", ["auto", "full", "scratch"])
def test_what_several_processes_cannot_do_together_is_refused(
    strategy: StrategyName, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainingSettings(strategy=strategy)
    ranks.refuse_together(settings, trials=0, resume=False)
    monkeypatch.setattr(ranks, "several", lambda: True)
    with pytest.raises(ConfigurationError, match="say --strategy tail"):
        ranks.refuse_together(settings, trials=0, resume=False)
    with pytest.raises(ConfigurationError, match=r"--tune, --resume and --compare-tasks"):
        ranks.refuse_together(TrainingSettings(), trials=3, resume=False)
    with pytest.raises(ConfigurationError, match="without torchrun"):
        ranks.refuse_together(TrainingSettings(tasks=("severity",), compare_tasks=True), trials=0, resume=False)
    ranks.refuse_together(TrainingSettings(), trials=0, resume=False)


def stepped(base: BaseModel, rank: int, of: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """Gradients of one rank's share of three images of two inputs each, with learned weights of three tasks."""
    monkeypatch.setattr(ranks, "several", lambda: of > 1)
    monkeypatch.setattr(distributed, "get_world_size", lambda: of)
    monkeypatch.setattr(distributed, "get_rank", lambda: rank)
    tasks = Tasks(
        severity=SeverityScale(column="depth", names=("none", "some")), location=LocationGrid(rows=1, columns=1)
    )
    torch.manual_seed(0)
    network = Network(load_base_model(base, seed=0)[0], 2, inputs=2, good=(True, False), tasks=tasks).eval()
    two = Tiles(columns=2, rows=1)
    spec = Preprocessing(schema_version=2, width=32, height=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), tiles=two)
    images = torch.randint(0, 255, (3, 2, 3, 32, 32), generator=torch.Generator().manual_seed(1)).byte()
    features = Features(Pixels(images, spec, ("",)), torch.empty(3, 1, 2, 1), torch.full((3, 2), math.nan))
    marks = torch.tensor([-0.5, -0.5, 0.5, 0.5]).expand(3, 2, 1, 4)
    beside = TaskLesson(torch.tensor([0, 1, 1]), torch.ones(3), marks, torch.ones(3), None)
    lesson = Lesson(features, torch.eye(2)[[0, 1, 1]], torch.ones(3), tasks=beside)
    torch.autograd.backward(loss_of(network, lesson, 0))
    return {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("of", [2, 5])
def test_shares_of_several_tasks_add_up_to_the_step_of_a_single_process(
    of: int, small_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = stepped(small_base, 0, 1, monkeypatch)
    shares = [stepped(small_base, rank, of, monkeypatch) for rank in range(of)]
    assert float(alone["heads.uncertainty"].abs().min()) > 0
    for name, gradient in alone.items():
        if name.startswith("head"):
            summed = torch.stack([share[name] for share in shares]).sum(0)
            assert torch.allclose(summed, gradient, rtol=1e-3, atol=1e-5), name
