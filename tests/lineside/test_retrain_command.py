"""`lineside retrain`: the candidate is judged before it is exported, unless somebody leaves that out."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import lineside.training
from lineside.main import app


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the command did, in order; nothing is trained."""
    done: list[str] = []

    def step(name: str, result: Any) -> Any:
        def act(*_: Any, progress: Any, **__: Any) -> Any:
            done.append(name)
            progress(name, 0.5, "note")
            return result

        return act

    monkeypatch.setattr(lineside.training, "obey", step("train", "model"))
    monkeypatch.setattr(lineside.training, "judge_run", step("evaluate", None))
    monkeypatch.setattr(lineside.training, "export_model", step("export", SimpleNamespace(hash="a" * 64)))
    return done


@pytest.mark.parametrize(
    ("options", "done"),
    [([], ["train", "evaluate", "export"]), (["--no-evaluate"], ["train", "export"])],
    ids=["as it is", "left out"],
)
def test_card_is_complete_before_it_travels(
    steps: list[str], tmp_path: Path, options: list[str], done: list[str]
) -> None:
    result = CliRunner().invoke(app, ["retrain", "--order", "order.json", "--out", str(tmp_path), *options])
    assert result.exit_code == 0, result.output
    assert steps == done
    lines = [json.loads(line) for line in result.output.splitlines()]
    assert [line["stage"] for line in lines] == [*done, "done"], "one line of JSON a step, for the monitor"
