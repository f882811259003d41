"""The quantisation benchmark: parts side by side, and figures that its goals ask for."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from benchmarks.harness import GOALS_FOLDER
from benchmarks.quantisation import latency, runtimes
from benchmarks.quantisation.backbones import BACKBONES
from contracts.report import read_goals
from exporter.fused import Convolution, Fused


def test_float_convolution_is_counted_and_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One backbone of the five runs a convolution in float: its figure and its note say so."""
    for kind, size in (("fp32", 100), ("int8", 27)):
        (tmp_path / kind).write_bytes(bytes(size))
    pair = latency.Pair(tmp_path / "fp32", tmp_path / "int8", None, signature=None)  # type: ignore[arg-type]
    spoilt = Fused((Convolution("stem", "FusedConv", 0.1), Convolution("a", "QLinearConv", 0.9)), {})
    monkeypatch.setattr(latency, "quantised_pair", lambda architecture, folder: pair)
    monkeypatch.setattr(latency, "fused", lambda file: spoilt)
    monkeypatch.setattr(latency, "_timed", lambda *_, **__: [])
    figures = {each.name: each for each in latency.measure(argparse.Namespace(quick=True)).figures}
    for backbone in BACKBONES:
        assert figures[f"{backbone}_convolutions_float"].value == 1
        assert "stem" in figures[f"{backbone}_convolutions_float"].note
        assert figures[f"{backbone}_float_share"].value == pytest.approx(0.1)
        assert figures[f"{backbone}_size"].value == pytest.approx(0.27)


def test_every_backbone_has_to_run_in_int8_and_to_be_small() -> None:
    goals = {goal.figure for goal in read_goals(GOALS_FOLDER / "quantisation.toml")}
    assert {f"{name}_{figure}" for name in BACKBONES for figure in ("convolutions_float", "size")} <= goals


def test_a_choice_that_a_second_run_changes_is_said() -> None:
    first = {"onnxruntime-cpu/int8": [2.0] * 20, "openvino-cpu/int8": [1.0] * 20, runtimes.REFERENCE: [4.0] * 20}
    second = {**first, "openvino-cpu/int8": [3.0] * 20}
    figures = {each.name: each for each in runtimes.judged("net", [first, first])}
    assert figures["net_chosen_speedup"].value == 4.0
    assert "openvino-cpu/int8" in figures["net_chosen_speedup"].note
    assert figures["net_choice_again"].value == 1.0
    assert {each.name: each.value for each in runtimes.judged("net", [first, second])}["net_choice_again"] == 0.0
