"""What a file says about a training reaches the trainer, of a first model or a retrain; an option goes before it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import lineside.training
from contracts.errors import ConfigurationError
from contracts.preprocessing import Tiles
from exporter.settings import ExportSettings
from lineside.main import app
from lineside.train_file import retold, set_by
from lineside.train_options import TrainOptions, settings_of
from lineside.training import retrain_settings
from trainer.settings import TrainingSettings

FILE = """
[training]
strategy = "full"
seed = 5
max_seconds = 60
flips = "none"
tiles = "4x2@0.25"
hidden = ["0,0 9,0 9,9"]
"""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[TrainOptions]:
    """What reached the trainer."""
    found: list[TrainOptions] = []
    monkeypatch.setattr("lineside.check.check_before_training", lambda *_, **__: None)
    monkeypatch.setattr(lineside.training, "run_train", found.append)
    return found


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "train.toml"
    file.write_text(FILE)
    return file


def train(folder: Path, config: Path, *words: str) -> str:
    """What `lineside train` says, in one line."""
    (folder / "photos" / "good").mkdir(parents=True, exist_ok=True)
    arguments = ["train", str(folder / "photos"), "--out", str(folder / "run"), "--no-evaluate"]
    result = CliRunner().invoke(app, [*arguments, "--config", str(config), *words], env={"COLUMNS": "200"})
    assert result.exit_code in (0, 1), result.output
    return result.output


def test_a_file_reaches_the_trainer(asked: list[TrainOptions], config: Path, tmp_path: Path) -> None:
    train(tmp_path, config)
    settings = settings_of(asked[0])
    assert (settings.strategy, settings.seed, settings.max_seconds, settings.flips) == ("full", 5, 60, "none")
    assert settings.tiles == Tiles(columns=4, rows=2, overlap=0.25)
    assert settings.hidden == (((0, 0), (9, 0), (9, 9)),)


def test_where_the_file_is_silent_the_command_speaks(asked: list[TrainOptions], config: Path, tmp_path: Path) -> None:
    train(tmp_path, config)
    settings = settings_of(asked[0])
    assert (settings.threads, settings.yardstick, settings.device) == (2, True, "auto")


def test_an_option_goes_before_the_file_even_where_it_says_the_default(
    asked: list[TrainOptions], config: Path, tmp_path: Path
) -> None:
    train(tmp_path, config, "--strategy", "tail", "--seed", "0", "--max-seconds", "3600")
    settings = settings_of(asked[0])
    assert (settings.strategy, settings.seed, settings.max_seconds, settings.flips) == ("tail", 0, 3600, "none")


def test_size_by_option_goes_before_all_that_the_file_says_of_it(
    asked: list[TrainOptions], config: Path, tmp_path: Path
) -> None:
    config.write_text("[training]\nchoose_size = true\ninput_width = 64\n")
    train(tmp_path, config)
    train(tmp_path, config, "--size", "96x48")
    kept, said = map(settings_of, asked)
    assert (kept.choose_size, kept.input_width) == (True, 64)
    assert (said.choose_size, said.input_width, said.input_height) == (False, 96, 48)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[training]\nstratgey = 'full'", "unknown key 'training.stratgey'; did you mean 'strategy'?"),
        ("[trainig]\nseed = 1", "unknown key 'trainig'; did you mean 'training'?"),
        ("strategy = 'full'", "unknown key 'strategy'; known keys: training"),
        ("[training]\nmax_seconds = 0", "training.max_seconds: Input should be greater than 0"),
        ("[training.tiles]\ncolumns = 4\nrows = 2\noverlapp = 0.3", "unknown key 'overlapp'; did you mean 'overlap'?"),
        ("[training]\nreview_fraction = 0.1\ncost_review = 1", "two ways to one band; name one of them"),
        ("[training", "is not valid TOML"),
    ],
)
def test_a_wrong_key_is_refused_by_name(
    text: str, said: str, asked: list[TrainOptions], config: Path, tmp_path: Path
) -> None:
    config.write_text(text)
    told = train(tmp_path, config)
    assert str(config) in told
    assert said in told
    assert not asked


def test_a_file_that_is_not_there_is_refused(asked: list[TrainOptions], tmp_path: Path) -> None:
    assert "nowhere.toml: No such file or directory" in train(tmp_path, tmp_path / "nowhere.toml")
    assert not asked


def test_a_retrain_reads_both_parts_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "retrain.toml"
    file.write_text("max_drop = 0.02\n[training]\nreplay = 200\nmax_seconds = 60\n")
    settings, told = retrain_settings(file, components=4)
    assert settings == ExportSettings(max_drop=0.02, components=4)
    assert told == {"replay": 200, "max_seconds": 60.0}
    assert retrain_settings(None, components=None) == (ExportSettings(), {})
    file.write_text("max_drp = 0.02\n")
    with pytest.raises(ConfigurationError, match="unknown key 'max_drp'; did you mean 'max_drop'"):
        retrain_settings(file)


class ObeyedError(Exception):
    """The trainer was reached."""


def test_an_option_of_a_retrain_goes_before_set_and_set_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Mapping[str, Any]] = []

    def obey(*_: Any, changes: Mapping[str, Any], **__: Any) -> None:
        found.append(changes)
        raise ObeyedError

    monkeypatch.setattr(lineside.training, "obey", obey)
    file = tmp_path / "retrain.toml"
    file.write_text("[training]\nreplay = 1\nmax_seconds = 1\nstrategy = 'full'\n")
    words = ["--config", str(file), "--set", "max_seconds=60", "--set", "replay=2", "--replay", "3"]
    result = CliRunner().invoke(app, ["retrain", "--order", "o.json", "--out", str(tmp_path), *words])
    assert isinstance(result.exception, ObeyedError), result.output
    assert found == [{"replay": 3, "max_seconds": 60.0, "strategy": "full"}]


def test_set_takes_toml_or_plain_text() -> None:
    said = set_by(["replay=20", "strategy=full", "graft=true", "tiles=3x1@0.3", 'hidden=["0,0 9,0 9,9"]'])
    assert said["replay"] == 20
    assert (said["strategy"], said["graft"]) == ("full", True)
    assert said["tiles"] == {"columns": 3, "rows": 1, "overlap": 0.3}
    assert said["hidden"] == (((0, 0), (9, 0), (9, 9)),)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("replay", "--set replay: say KEY=VALUE, for example --set max_seconds=7200"),
        ("replays=3", "--set: unknown key 'replays'; did you mean 'replay'?"),
        ("replay=none", "--set: replay: Input should be a valid integer"),
    ],
)
def test_set_refuses_by_name(word: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        set_by([word])
    assert said in str(refused.value)


def test_a_retrain_is_as_the_first_training_but_for_what_it_was_told() -> None:
    first = TrainingSettings(strategy="full", label_noise=0.1, tiles=Tiles(columns=2, rows=2), cost_review=0.2)
    assert retold(first, {}) == first
    assert retold(first, {"replay": 9}) == first.model_copy(update={"replay": 9})
    assert retold(first, {"smallest_defect": 4.0}).tiles is None, "they are chosen for it"
    with pytest.raises(ConfigurationError, match="two ways to one band"):
        retold(first, {"review_fraction": 0.1})


@pytest.mark.parametrize("name", ["seed", "threads", "yardstick", "severity_levels", "source_size"])
def test_a_retrain_says_what_it_takes_from_nobody(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"a retrain cannot be told {name}: .*; leave it out"):
        retold(TrainingSettings(), {name: 3})
