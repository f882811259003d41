"""What `lineside export` asks of the exporter, and what it tells of the int8 file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

import exporter.export
import lineside.training
from contracts.quantisation import LayerError, Quantisation
from exporter.qat.settings import QatSettings
from exporter.settings import ExportSettings
from lineside.main import app
from lineside.training import print_quantisation

MADE = Quantisation(calibrator="mse", drop=0.004, drop_error=0.002, max_drop=0.005, images=200)


class AskedError(Exception):
    """The exporter was reached."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[ExportSettings]:
    found: list[ExportSettings] = []

    def export(run: Path, out: Path, *, settings: ExportSettings, **_: Any) -> None:
        found.append(settings)
        raise AskedError

    monkeypatch.setattr(exporter.export, "export", export)
    return found


def ask(tmp_path: Path, *options: str) -> None:
    result = CliRunner().invoke(app, ["export", str(tmp_path), "--out", str(tmp_path / "bundle"), *options])
    assert isinstance(result.exception, AskedError), result.output


def test_export_without_options_asks_for_the_defaults(asked: list[ExportSettings], tmp_path: Path) -> None:
    ask(tmp_path)
    assert asked == [ExportSettings()]


def test_options_reach_the_exporter(asked: list[ExportSettings], tmp_path: Path) -> None:
    ask(tmp_path, "--max-drop", "0.02", "--all-int8", "--sensitivity", "--components", "4", "--weight-bits", "7")
    assert asked == [ExportSettings(max_drop=0.02, float_stem=False, sensitivity=True, components=4, weight_bits=7)]


FILE = """
max_drop = 0.02
calibration_images = 8

[qat]
most_steps = 10
fewest_steps = 5
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "export.toml"
    file.write_text(FILE)
    return file


def test_a_file_of_settings_reaches_the_exporter(asked: list[ExportSettings], config: Path, tmp_path: Path) -> None:
    ask(tmp_path, "--config", str(config))
    learning = QatSettings(most_steps=10, fewest_steps=5)
    assert asked == [ExportSettings(max_drop=0.02, calibration_images=8, qat=learning)]


def test_an_option_goes_before_the_file(asked: list[ExportSettings], config: Path, tmp_path: Path) -> None:
    ask(tmp_path, "--config", str(config), "--max-drop", "0.01", "--quantisation", "auto")
    assert (asked[0].max_drop, asked[0].quantisation, asked[0].calibration_images) == (0.01, "auto", 8)


def test_the_file_may_ask_for_training_with_rounding(asked: list[ExportSettings], config: Path, tmp_path: Path) -> None:
    config.write_text('quantisation = "qat"\n')
    ask(tmp_path, "--config", str(config))
    assert asked[0].quantisation == "qat"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_dorp = 0.02", "unknown key 'max_dorp'; did you mean 'max_drop'?"),
        ("[qat]\nrates = 1.0", "unknown key 'qat.rates'; did you mean 'rate'?"),
        ("[export]\nmax_drop = 0.02", "unknown key 'export'"),
        ("max_drop = 2.0", "max_drop: Input should be less than or equal to 1"),
        ("weight_bits = 7\nquantisation = 'qat'", "training with rounding learns 8 bits"),
        ("max_drop =", "export.toml is not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_before_anything_is_done(config: Path, tmp_path: Path, text: str, said: str) -> None:
    config.write_text(text)
    commands = (
        ("export", str(tmp_path / "no-run")),
        ("retrain", "--order", str(tmp_path / "no-order.json"), "--workspace", str(tmp_path)),
    )
    for command in commands:
        result = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "bundle"), "--config", str(config)])
        assert result.exit_code != 0
        assert said in " ".join(result.output.split())
        assert not (tmp_path / "bundle").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    options = ["export", str(tmp_path), "--out", str(tmp_path / "bundle"), "--config", str(tmp_path / "no.toml")]
    result = CliRunner().invoke(app, options)
    assert result.exit_code != 0
    assert "no.toml: No such file" in " ".join(result.output.split())


def test_a_retrained_model_is_exported_by_the_same_file(
    asked: list[ExportSettings], config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineside.training, "obey", lambda *_, **__: tmp_path / "run")
    options = ["retrain", "--order", "order.json", "--out", str(tmp_path / "job"), "--config", str(config)]
    result = CliRunner().invoke(app, [*options, "--components", "4", "--no-evaluate"])
    assert isinstance(result.exception, AskedError), result.output
    assert (asked[0].components, asked[0].max_drop, asked[0].calibration_images) == (4, 0.02, 8)


def test_seven_bits_are_refused_for_weights_that_learned_eight(tmp_path: Path) -> None:
    options = [
        "export",
        str(tmp_path),
        "--out",
        str(tmp_path / "bundle"),
        "--weight-bits",
        "7",
        "--quantisation",
        "qat",
    ]
    result = CliRunner().invoke(app, options)
    assert result.exit_code != 0
    assert "training with rounding learns 8 bits" in " ".join(result.output.split())


def told(made: Quantisation) -> str:
    file = io.StringIO()
    print_quantisation(Console(file=file, width=200), made)
    return file.getvalue()


def test_loss_is_told_with_its_error() -> None:
    assert told(MADE) == (
        "  int8: ranges by mse; every convolution in int8; loses +0.4% (standard error 0.2%) on 200 held-out images\n"
    )


def test_training_on_is_told_in_the_place_of_the_ranges() -> None:
    learned = MADE.model_copy(update={"way": "qat", "calibrator": "learned"})
    assert told(learned).startswith("  int8: trained on with its rounding; every convolution in int8; loses +0.4%")


def test_layers_are_told_where_they_were_measured() -> None:
    layers = (
        LayerError(name="stages.1.conv_dw", error=0.686, share=0.012, kept_float=True),
        LayerError(name="stages.2.conv_pw", error=0.1, share=0.2, kept_float=False),
    )
    lines = told(MADE.model_copy(update={"kept_float": (layers[0].name,), "float_share": 0.012, "layers": layers}))
    assert "in float 1 of the convolutions (1.2% of the multiplications)" in lines
    assert "stages.1.conv_dw: error 0.686, 1.2% of the multiplications, stays in float" in lines
    assert "stages.2.conv_pw: error 0.100, 20.0% of the multiplications\n" in lines
