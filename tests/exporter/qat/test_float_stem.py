"""The stem that plain quantisation leaves in float can stay so while learning, and in the graph of each target."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from exporter.graph import export_graph
from exporter.precision import make_int8
from exporter.qat import route
from exporter.qat.body import rounding, settle
from exporter.qat.rounding import WeightRounding
from exporter.qat.route import Choice
from exporter.qat.settings import QatSettings
from exporter.qat.tensorrt_rules import offences
from exporter.qat.write import write_symmetric, write_tensorrt, write_x86
from exporter.quantise import sensitive_stem, simplify
from exporter.settings import ExportSettings
from exporter.source import Source
from runtime.session import Signature
from tests.exporter.qat.conftest import SIDE, Answer, images
from tests.exporter.qat.test_body import Backbone, operators


def float_convolutions(path: Path) -> list[str]:
    """Those of a file whose weights are constants of it, in order."""
    graph = onnx.load(path).graph
    constants = {tensor.name for tensor in graph.initializer}
    return [node.name for node in graph.node if node.op_type == "Conv" and node.input[1] in constants]


def first_two(path: Path) -> list[str]:
    return [node.name for node in onnx.load(path).graph.node if node.op_type == "Conv"][:2]


def test_the_stem_stays_float_in_the_symmetric_graph_and_for_tensorrt(float_stemmed: Path, tmp_path: Path) -> None:
    write_tensorrt(float_stemmed, tmp_path / "tensorrt.onnx")
    for file in (float_stemmed, tmp_path / "tensorrt.onnx"):
        assert float_convolutions(file) == first_two(file)
        graph = onnx.load(file).graph
        assert {each.op_type for each in graph.node if graph.input[0].name in each.input} == {"Conv"}
    assert offences(onnx.load(tmp_path / "tensorrt.onnx")) == []


@pytest.mark.parametrize("whole_range", [False, True])
def test_onnxruntime_runs_the_stem_in_float_and_all_the_rest_in_int8(
    float_stemmed: Path, tmp_path: Path, *, whole_range: bool
) -> None:
    write_x86(float_stemmed, tmp_path / "x86.onnx", whole_range=whole_range)
    assert float_convolutions(tmp_path / "x86.onnx") == first_two(tmp_path / "x86.onnx")
    found = operators(tmp_path / "x86.onnx", tmp_path)
    assert found["Conv"] + found["FusedConv"] == 2
    assert (found["QLinearConv"], found["QLinearAdd"]) == (6, 2)


def test_without_it_no_convolution_is_float(symmetric: Path, tmp_path: Path) -> None:
    write_tensorrt(symmetric, tmp_path / "tensorrt.onnx")
    write_x86(symmetric, tmp_path / "x86.onnx")
    assert [float_convolutions(tmp_path / name) for name in ("tensorrt.onnx", "x86.onnx")] == [[], []]


def test_the_stem_is_not_rounded_while_learning(network: nn.Module) -> None:
    made = rounding([network], (3, SIDE, SIDE), float_stem=True)
    whole = rounding([network], (3, SIDE, SIDE))
    assert [sum(isinstance(each, WeightRounding) for each in body.modules()) for body in (made, whole)] == [6, 8]


def test_x86_and_symmetric_answer_alike_with_a_float_stem(float_stemmed: Path, tmp_path: Path, answer: Answer) -> None:
    write_x86(float_stemmed, tmp_path / "x86.onnx")
    known = images(16, seed=9) * 0.9
    before = answer(onnx.load(float_stemmed), known)
    for mine, theirs in zip(answer(onnx.load(tmp_path / "x86.onnx"), known), before, strict=True):
        assert np.abs(mine - theirs).max() <= 0.02 * np.abs(theirs).max()


@pytest.mark.parametrize("architecture", ["mobilenetv3_small_100", "resnet18"])
def test_backbones_keep_the_stem_that_plain_quantisation_keeps(architecture: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    backbone = Backbone(architecture).eval()
    made = nn.Sequential(rounding([backbone], (3, 64, 64), float_stem=True)).eval()
    settle(made, [torch.randn(2, 3, 64, 64)])
    with torch.inference_mode():
        width = made(torch.zeros(1, 3, 64, 64))[1].shape[1]
    signature = Signature(labels=2, height=64, width=64, embedding_width=width)
    export_graph(backbone, signature, tmp_path / "float.onnx")
    simplify(tmp_path / "float.onnx", tmp_path / "simplified.onnx")
    stem = set(sensitive_stem(tmp_path / "simplified.onnx"))
    kept = Counter(node.op_type for node in onnx.load(tmp_path / "simplified.onnx").graph.node if node.name in stem)
    write_symmetric(made, signature, tmp_path / "symmetric.onnx")
    write_tensorrt(tmp_path / "symmetric.onnx", tmp_path / "tensorrt.onnx")
    write_x86(tmp_path / "symmetric.onnx", tmp_path / "x86.onnx")
    found = operators(tmp_path / "x86.onnx", tmp_path)
    assert found["Conv"] + found["FusedConv"] == kept["Conv"] == (0 if architecture == "resnet18" else 2)
    assert float_convolutions(tmp_path / "tensorrt.onnx") == first_two(tmp_path / "tensorrt.onnx")[: kept["Conv"]]


@pytest.mark.parametrize(("asked", "both", "layers"), [(True, True, 2), (True, False, 0), (False, True, 0)])
def test_the_manifest_names_the_stem_and_all_in_int8_is_said_once_for_both_ways(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, asked: bool, both: bool, layers: int
) -> None:
    told: list[QatSettings] = []

    def learned(*_: object, settings: QatSettings, **__: object) -> Choice:
        told.append(settings)
        return Choice("qat", "asked for", {})

    monkeypatch.setattr(route, "quantise_by_training", learned)
    export_graph(source.module, source.signature, tmp_path / "float.onnx")
    settings = ExportSettings(
        quantisation="qat", qat=QatSettings(float_stem=asked), float_stem=both, calibration_images=8, search_images=8,
        correction_images=2, calibrators=("minmax",), max_drop=1.0,
    )  # fmt: skip
    made = make_int8(source, tmp_path / "float.onnx", tmp_path / "int8.onnx", tmp_path, settings=settings)
    assert [each.float_stem for each in told] == [layers > 0]
    assert len(made.kept_float) == layers
    assert (made.float_share > 0) == (layers > 0)
