"""Every pass does what it ensures and leaves the answers as they were, within what it states."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx.numpy_helper import to_array
from torch import Tensor, nn

from exporter.bias_correction import correct_biases
from exporter.fused import fused
from exporter.graph import export_graph
from exporter.passes.four_channels import give_four_channels
from exporter.passes.gates import fold_hard_sigmoids
from exporter.passes.guarded import guard_float_convolutions
from exporter.passes.hard_sigmoid import add_for_hard_sigmoids
from exporter.passes.pooling import pool_before_convolutions
from exporter.passes.shrunk import shrink
from exporter.passes.swish_floor import floor_hard_swishes
from exporter.quantise import OPERATORS, quantise, simplify
from runtime.graph import OPERATORS as ALLOWED
from runtime.session import Signature
from tests.simulators.small_network import SIDE, small_network
from tests.simulators.spoilt_biases import spoil_biases

WIDTH = 16
Image = NDArray[np.float32]


class Excited(nn.Module):
    """x [1, 3, 48, 48] -> (logits [1, 3], embedding [1, 16]): hard-swish, squeeze-and-excite, a residual addition, and
    a last convolution after the pooling, as MobileNetV3 has it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTH, 3, 2, 1)
        self.squeeze = nn.Conv2d(WIDTH, 8, 1)
        self.excite = nn.Conv2d(8, WIDTH, 1)
        self.wide = nn.Conv2d(WIDTH, WIDTH, 3, 1, 1)
        self.top = nn.Conv2d(WIDTH, WIDTH, 1)
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = nn.functional.hardswish(3 * self.stem(x))
        gate = nn.functional.hardsigmoid(self.excite(self.squeeze(x.mean((2, 3), keepdim=True)).relu()))
        x = x + nn.functional.hardswish(4 * self.wide(x * gate))
        embedding = nn.functional.hardswish(self.top(x.mean((2, 3), keepdim=True))).flatten(1)
        return self.head(embedding), embedding


@pytest.fixture(scope="module")
def images() -> list[Image]:
    chance = np.random.default_rng(0)
    return [chance.standard_normal((1, 3, SIDE, SIDE)).astype(np.float32) for _ in range(4)]


@pytest.fixture(scope="module")
def fp32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("excited") / "fp32.onnx"
    export_graph(Excited().eval(), Signature(labels=3, height=SIDE, width=SIDE, embedding_width=WIDTH), file)
    return file


@pytest.fixture(scope="module")
def simplified(fp32: Path) -> Path:
    simplify(fp32, fp32.with_name("simplified.onnx"))
    return fp32.with_name("simplified.onnx")


@pytest.fixture(scope="module")
def int8(simplified: Path, images: list[Image]) -> Path:
    quantise(simplified, simplified.with_name("int8.onnx"), images)
    return simplified.with_name("int8.onnx")


def answers(model: onnx.ModelProto, images: Sequence[Image], *, plainly: bool = False) -> Image:
    """Logits and embedding [n, 19]; `plainly` without onnxruntime's own changes of the graph."""
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if plainly:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.concatenate([np.concatenate(session.run(None, {"image": image}), axis=1) for image in images])


def count(model: onnx.ModelProto, operator: str) -> int:
    return sum(node.op_type == operator for node in model.graph.node)


def test_means_that_convolutions_read_become_pools(fp32: Path, images: list[Image]) -> None:
    model = onnx.load(fp32)
    before = answers(model, images)
    assert pool_before_convolutions(model) == 2
    assert (count(model, "ReduceMean"), count(model, "GlobalAveragePool")) == (0, 2)
    np.testing.assert_allclose(answers(model, images), before, atol=1e-5)


def test_mean_that_ends_in_the_head_stays(source_graph: onnx.ModelProto) -> None:
    assert pool_before_convolutions(source_graph) == 0
    assert count(source_graph, "ReduceMean") == 1


def test_gate_becomes_a_scaled_convolution(fp32: Path, images: list[Image]) -> None:
    model = onnx.load(fp32)
    before, gates = answers(model, images), count(model, "HardSigmoid")
    assert fold_hard_sigmoids(model) == 1
    assert count(model, "HardSigmoid") == gates - 1
    np.testing.assert_allclose(answers(model, images), before, atol=1e-5)


def test_hard_swish_is_floored_where_it_is_zero(simplified: Path, fp32: Path, images: list[Image]) -> None:
    model = onnx.load(fp32)
    before = answers(model, images, plainly=True)
    changed = floor_hard_swishes(model)
    assert changed == count(onnx.load(fp32), "HardSigmoid") - 1  # all but the gate
    np.testing.assert_array_equal(answers(model, images, plainly=True), before)


def test_everything_but_the_head_of_an_excited_network_runs_in_int8(int8: Path) -> None:
    found = fused(int8)
    assert found.told() == "5 of 5 convolutions in int8"
    assert not {"Clip", "GlobalAveragePool", "HardSigmoid", "Mul", "ReduceMean", "Add"} & set(found.operators)


def test_addition_stands_for_a_hard_sigmoid_within_a_step(
    simplified: Path, images: list[Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.quantise.add_for_hard_sigmoids", lambda model: 0)
    quantise(simplified, tmp_path / "before.onnx", images)
    model = onnx.load(tmp_path / "before.onnx")
    gates = count(model, "HardSigmoid")
    before = answers(model, images, plainly=True)
    assert add_for_hard_sigmoids(model) == gates > 0
    assert count(model, "HardSigmoid") == 0
    step = 2 * np.abs(before).max() / 255
    np.testing.assert_allclose(answers(model, images, plainly=True), before, atol=step)


@pytest.fixture
def source_graph(tmp_path: Path) -> onnx.ModelProto:
    signature = Signature(labels=3, height=SIDE, width=SIDE, embedding_width=24)
    export_graph(small_network(), signature, tmp_path / "small.onnx")
    return onnx.load(tmp_path / "small.onnx")


def test_float_convolution_between_int8_ones_stays_float(
    simplified: Path, images: list[Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = [node.name for node in onnx.load(simplified).graph.node if node.op_type == "Conv"][3]
    monkeypatch.setattr("exporter.quantise.guard_float_convolutions", lambda model: 0)
    quantise(simplified, tmp_path / "open.onnx", images, keep_float=[wide])
    model = onnx.load(tmp_path / "open.onnx")
    before = answers(model, images, plainly=True)
    assert not fused(tmp_path / "open.onnx").floating  # onnxruntime quantises it by itself
    assert guard_float_convolutions(model) == 1
    onnx.save(model, tmp_path / "guarded.onnx")
    assert len(fused(tmp_path / "guarded.onnx").floating) == 1
    np.testing.assert_array_equal(answers(model, images, plainly=True), before)


def test_shrunk_file_is_smaller_and_answers_the_same_bits(int8: Path, images: list[Image]) -> None:
    model = onnx.load(int8)
    before, bytes_before, runs = answers(model, images), model.ByteSize(), fused(int8).operators
    shrink(model)
    np.testing.assert_array_equal(answers(model, images), before)
    assert model.ByteSize() < 0.8 * bytes_before
    onnx.save(model, int8.with_name("shrunk.onnx"))
    assert fused(int8.with_name("shrunk.onnx")).operators == runs
    assert not model.metadata_props
    values = [(each.data_type, *each.dims, to_array(each).tobytes()) for each in model.graph.initializer]
    assert len(values) == len(set(values))


def test_biases_are_corrected_behind_gates_and_swishes(simplified: Path, int8: Path, images: list[Image]) -> None:
    spoilt = int8.with_name("spoilt.onnx")
    spoilt.write_bytes(int8.read_bytes())
    spoil_biases(spoilt)
    goal = answers(onnx.load(simplified), images)
    before = np.abs(answers(onnx.load(spoilt), images) - goal).mean()
    assert correct_biases(simplified, spoilt, images)
    assert np.abs(answers(onnx.load(spoilt), images) - goal).mean() < before / 3


def test_products_of_a_head_stay_in_float(fp32: Path, images: list[Image], tmp_path: Path) -> None:
    model = onnx.load(fp32)
    embedding = model.graph.output[1].name
    scale = onnx.numpy_helper.from_array(np.linspace(0.1, 100, WIDTH, dtype=np.float32), "steep")
    model.graph.initializer.append(scale)
    head = next(node for node in model.graph.node if node.op_type == "Gemm")
    head.input[0] = "scaled"
    place = list(model.graph.node).index(head)
    model.graph.node.insert(place, onnx.helper.make_node("Mul", [embedding, "steep"], ["scaled"], name="steep"))
    onnx.save(model, tmp_path / "head.onnx")
    simplify(tmp_path / "head.onnx", tmp_path / "simplified.onnx")
    quantise(tmp_path / "simplified.onnx", tmp_path / "int8.onnx", images)
    made = onnx.load(tmp_path / "int8.onnx").graph
    writer = {name: node.op_type for node in made.node for name in node.output}
    product = next(node for node in made.node if node.name == "steep")
    reader = next(node for node in made.node if product.output[0] in node.input)
    assert writer.get(product.input[1]) is None
    assert reader.op_type == "Gemm"


def test_operators_that_are_quantised_may_stand_in_a_bundle() -> None:
    assert set(OPERATORS) <= ALLOWED


@pytest.mark.parametrize("low", [-1.0, 0.0])  # the zero point lies within 0..255, or is 0
def test_stem_of_three_channels_reads_a_fourth_that_is_empty_and_answers_the_same_bits(
    low: float, simplified: Path, images: list[Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.quantise.give_four_channels", lambda model: 0)
    seen = [np.maximum(image, np.float32(low)) for image in images]
    quantise(simplified, tmp_path / "three.onnx", seen)
    model = onnx.load(tmp_path / "three.onnx")
    shrink(model)  # a zero point of zero is left out
    before, plain_before = answers(model, images), answers(model, images, plainly=True)
    assert give_four_channels(model) == 1
    assert give_four_channels(model) == 0
    np.testing.assert_array_equal(answers(model, images), before)
    np.testing.assert_array_equal(answers(model, images, plainly=True), plain_before)
    onnx.save(model, tmp_path / "four.onnx")
    assert fused(tmp_path / "four.onnx").told() == "5 of 5 convolutions in int8"


def test_stem_that_stays_in_float_keeps_its_three_channels(
    simplified: Path, images: list[Image], tmp_path: Path
) -> None:
    stem = next(node.name for node in onnx.load(simplified).graph.node if node.op_type == "Conv")
    quantise(simplified, tmp_path / "stem.onnx", images, keep_float=[stem])
    assert count(onnx.load(tmp_path / "stem.onnx"), "Pad") == 0
    quantise(simplified, tmp_path / "int8.onnx", images)
    assert count(onnx.load(tmp_path / "int8.onnx"), "Pad") == 1
