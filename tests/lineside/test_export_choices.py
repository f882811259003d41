"""What `lineside export` asks of the exporter, and what it tells of the int8 file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

import exporter.export
from contracts.quantisation import LayerError, Quantisation
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
