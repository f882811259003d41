"""What makes int8 answer like float."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from exporter.bias_correction import correct_biases
from exporter.fused import fused
from exporter.graph import OPSET, export_graph
from exporter.quantise import quantise, sensitive_stem, simplify
from exporter.source import Source, tensors
from runtime.bundle import Bundle
from runtime.narrow import narrow
from runtime.session import Session
from tests.simulators.small_network import small_network
from tests.simulators.spoilt_biases import spoil_biases


@pytest.fixture(scope="module")
def images(source: Source) -> list[NDArray[np.float32]]:
    return list(tensors(source.train[:24], source.preprocessing))


def error(file: Path, simplified: Path, source: Source) -> float:
    """Mean square distance of the logits to the float ones, on images that nothing was fitted on."""
    sessions = [
        Session.of_model(path.read_bytes(), variant="test", signature=source.signature) for path in (file, simplified)
    ]
    rows = [
        [session.infer(tensor).logits for session in sessions] for tensor in tensors(source.test, source.preprocessing)
    ]
    return float(np.mean([np.square(mine - theirs).mean() for mine, theirs in rows]))


@pytest.mark.parametrize("name", ["model.fp32.onnx", "model.int8.onnx"])
def test_files_have_the_pinned_opset_and_one_batch(exported: tuple[Bundle, list[str]], name: str) -> None:
    made = onnx.load(exported[0].path / name)
    assert [(each.domain, each.version) for each in made.opset_import] == [("", OPSET)]
    assert [dimension.dim_value for dimension in made.graph.input[0].type.tensor_type.shape.dim] == [1, 3, 48, 48]
    assert [output.name for output in made.graph.output] == ["logits", "embedding"]


def test_relu6_vanishes_into_the_range(simplified: Path, images: list[NDArray[np.float32]], tmp_path: Path) -> None:
    assert any(node.op_type == "Clip" for node in onnx.load(simplified).graph.node)
    quantise(simplified, tmp_path / "int8.onnx", images)
    assert not any(node.op_type == "Clip" for node in onnx.load(tmp_path / "int8.onnx").graph.node)


def test_weights_of_seven_bits_fit_sixteen_bits_in_pairs(
    simplified: Path, images: list[NDArray[np.float32]], source: Source, tmp_path: Path
) -> None:
    for bits in (7, 8):
        quantise(simplified, tmp_path / f"{bits}.onnx", images, weight_bits=bits)
    assert narrow((tmp_path / "7.onnx").read_bytes(), "7.onnx")
    assert not narrow((tmp_path / "8.onnx").read_bytes(), "8.onnx")
    assert len(fused(tmp_path / "7.onnx").int8) == 4
    assert error(tmp_path / "7.onnx", simplified, source) < 10 * error(tmp_path / "8.onnx", simplified, source)


def test_head_stays_in_float(simplified: Path, images: list[NDArray[np.float32]], tmp_path: Path) -> None:
    quantise(simplified, tmp_path / "int8.onnx", images)
    graph = onnx.load(tmp_path / "int8.onnx").graph
    head = next(node for node in graph.node if node.op_type in ("Gemm", "MatMul"))
    weights = {tensor.name for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}
    assert head.input[1] in weights


def test_correction_brings_spoilt_biases_back(
    simplified: Path, images: list[NDArray[np.float32]], source: Source, tmp_path: Path
) -> None:
    int8 = tmp_path / "int8.onnx"
    quantise(simplified, int8, images)
    spoil_biases(int8)
    spoilt = error(int8, simplified, source)
    assert correct_biases(simplified, int8, images)
    assert error(int8, simplified, source) < spoilt / 10


def test_correction_never_makes_it_worse_on_its_images(
    simplified: Path, images: list[NDArray[np.float32]], source: Source, tmp_path: Path
) -> None:
    int8 = tmp_path / "int8.onnx"
    quantise(simplified, int8, images)
    while correct_biases(simplified, int8, images):
        pass
    before = int8.read_bytes()
    assert not correct_biases(simplified, int8, images)
    assert int8.read_bytes() == before


def test_stem_before_a_depthwise_convolution_stays_in_float(
    simplified: Path, images: list[NDArray[np.float32]], tmp_path: Path
) -> None:
    kept = sensitive_stem(simplified)
    nodes = {node.name: node.op_type for node in onnx.load(simplified).graph.node}
    assert [nodes[name] for name in kept] == ["Conv", "Clip", "Conv", "Clip"]
    quantise(simplified, tmp_path / "int8.onnx", images, keep_float=kept)
    graph = onnx.load(tmp_path / "int8.onnx").graph
    assert [node.op_type for node in graph.node if graph.input[0].name in node.input] == ["Conv"]


def test_ordinary_network_keeps_nothing_in_float(source: Source, tmp_path: Path) -> None:
    export_graph(small_network(depthwise=False), source.signature, tmp_path / "float.onnx")
    simplify(tmp_path / "float.onnx", tmp_path / "simplified.onnx")
    assert sensitive_stem(tmp_path / "simplified.onnx") == []
