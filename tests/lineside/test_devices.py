"""Where networks compute, as a person says it: on a GPU where there is one; one that is not there is said at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed
from typer.testing import CliRunner

import lineside.training
from contracts.errors import ConfigurationError
from lineside.main import app
from lineside.train_options import TrainOptions, settings_of
from tests.trainer.test_device import without_gpu
from trainer.rounds import ranks
from trainer.settings import TrainingSettings


def test_training_takes_a_gpu_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[TrainOptions] = []
    monkeypatch.setattr("lineside.check.check_before_training", lambda *_, **__: None)
    monkeypatch.setattr(lineside.training, "run_train", asked.append)
    (tmp_path / "good").mkdir()
    arguments = ["train", str(tmp_path), "--out", str(tmp_path / "run"), "--no-evaluate"]
    for words in ([], ["--device", "cpu"]):
        result = CliRunner().invoke(app, [*arguments, *words])
        assert result.exit_code == 0, result.output
    assert [settings_of(options).device for options in asked] == ["auto", "cpu"]
    assert TrainingSettings().device == "cpu", "what is no command stays on the processor unless told otherwise"


@without_gpu
@pytest.mark.parametrize(
    "words",
    ["check nowhere", "train nowhere --out run", "evaluate nowhere", "models rank nowhere", "transfer nowhere --out t"],
)
def test_a_gpu_that_is_not_there_is_said_first(words: str) -> None:
    result = CliRunner().invoke(app, [*words.split(), "--device", "cuda"], env={"COLUMNS": "200"})
    assert result.exit_code == 1, result.output
    assert "device cuda: torch" in result.output
    assert "say --device cpu (or auto)" in result.output


def started(monkeypatch: pytest.MonkeyPatch, *, rank: int, gpus: int) -> None:
    """As torchrun starts it."""
    answers: dict[str, Any] = {"is_torchelastic_launched": lambda: True, "get_node_local_rank": lambda: rank}
    for name, answer in answers.items():
        monkeypatch.setattr(distributed, name, answer)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch, rank=1, gpus=1)
    with pytest.raises(ConfigurationError, match="this machine has 1: start as many with --nproc-per-node, or say"):
        ranks.refuse_crowded(torch.device("cuda"))
    ranks.refuse_crowded(torch.device("cpu"))
    started(monkeypatch, rank=1, gpus=2)
    ranks.refuse_crowded(torch.device("cuda"))
