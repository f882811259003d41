"""Each pass keeps what it promises: the same bits, or a stated bound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from contracts.errors import BundleError
from exporter.qat.passes.absorbed_cuts import absorbed_cuts
from exporter.qat.passes.folded_clips import folded_clips
from exporter.qat.passes.from_zero import from_zero
from exporter.qat.passes.full_range import full_range
from exporter.qat.passes.integer_biases import integer_biases
from exporter.qat.passes.integer_clips import integer_clips
from exporter.qat.passes.scalar_scales import scalar_scales
from exporter.qat.passes.shifted_cuts import shifted_cuts
from exporter.qat.passes.unrounded_branches import unrounded_branches
from exporter.qat.passes.unsigned import unsigned
from exporter.qat.passes.wiring import Wiring
from exporter.qat.write import write_x86
from tests.exporter.qat.conftest import Answer, images

KNOWN, NEW = images(16, seed=9), images(16, seed=10)
"""Images within the ranges, and some that leave them."""


def counted(model: onnx.ModelProto, operator: str) -> int:
    return sum(node.op_type == operator for node in model.graph.node)


def rounding_of(*, end: float | None, scale: float) -> onnx.ModelProto:
    """Clip(0, end) or Relu of one number, rounded: x [1, 3, 32, 32] -> y."""
    cut = helper.make_node("Relu", ["image"], ["cut"], name="cut")
    constants = {"scale": np.float32(scale), "zero": np.array(0, np.int8)}
    if end is not None:
        cut = helper.make_node("Clip", ["image", "low", "high"], ["cut"], name="cut")
        constants |= {"low": np.float32(0), "high": np.float32(end)}
    nodes = [
        cut,
        helper.make_node("QuantizeLinear", ["cut", "scale", "zero"], ["steps"], name="round"),
        helper.make_node("DequantizeLinear", ["steps", "scale", "zero"], ["y"], name="read"),
    ]
    graph = helper.make_graph(
        nodes, "one",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 32, 32])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def counted_from_the_bottom(*, scale: float, pad: int = 0, cut: str = "Clip") -> onnx.ModelProto:
    """What learning with all steps of int8 exports: x [1, 3, 32, 32] -> convolution, ReLU6, rounded from -128 on,
    convolution -> y. Its other numbers are multiples of powers of two, so that float32 adds them exactly."""
    chance = np.random.default_rng(0)
    reads = ["first", *(["low", "high"] if cut == "Clip" else [])]
    nodes = [
        helper.make_node("Conv", ["image", "first_weights", "first_bias"], ["first"], name="first"),
        helper.make_node(cut, reads, ["cut"], name="cut"),
        helper.make_node("QuantizeLinear", ["cut", "scale", "bottom"], ["steps"], name="round"),
        helper.make_node("DequantizeLinear", ["steps", "scale", "bottom"], ["rounded"], name="read"),
        helper.make_node("DequantizeLinear", ["second_steps", "second_scale"], ["weights"], name="weigh", axis=0),
        helper.make_node("Conv", ["rounded", "weights", "second_bias"], ["y"], name="second", pads=[pad] * 4),
    ]
    constants = {
        "scale": np.float32(scale), "bottom": np.array(-128, np.int8), "low": np.float32(0), "high": np.float32(6),
        "first_weights": chance.integers(-8, 9, (8, 3, 1, 1)).astype(np.float32) / 4,
        "first_bias": chance.integers(-8, 9, 8).astype(np.float32) / 4,
        "second_steps": chance.integers(-127, 128, (4, 8, 1, 1)).astype(np.int8),
        "second_scale": np.array([1, 2, 4, 8], np.float32) / 128,
        "second_bias": chance.integers(-8, 9, 4).astype(np.float32) / 4,
    }  # fmt: skip
    graph = helper.make_graph(
        nodes, "two",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize("cut", ["Clip", "Relu"])
@pytest.mark.parametrize("biased", [True, False])
def test_shifting_a_cut_changes_no_bit_where_biases_are_added_exactly(
    answer: Answer, cut: str, *, biased: bool
) -> None:
    model = counted_from_the_bottom(scale=1 / 64, cut=cut)  # 255 of them are less than 6
    for node in model.graph.node:
        if node.op_type == "Conv" and not biased:
            del node.input[2]
    before = answer(model, NEW)[0]
    assert shifted_cuts(model) == ["first"]
    assert counted(model, "Clip") == counted(model, "Relu") == 0
    assert {Wiring(model).value(node.input[2]).item() for node in Wiring(model).rounded()} == {0}
    np.testing.assert_array_equal(answer(model, NEW)[0], before)


def test_shifting_a_cut_moves_a_number_by_a_step_where_it_lay_between_two(answer: Answer) -> None:
    model = counted_from_the_bottom(scale=6 / 255)
    model.graph.output.append(helper.make_tensor_value_info("steps", TensorProto.INT8, None))
    before, steps = answer(model, NEW)
    shifted_cuts(model)
    after, moved = answer(model, NEW)
    off = moved.astype(int) - steps
    assert np.abs(off).max() <= 1
    assert np.mean(off != 0) <= 1e-3
    untouched = ~(off != 0).any(axis=1)
    np.testing.assert_allclose(after[:, 0][untouched], before[:, 0][untouched], atol=1e-5)
    assert {steps.min(), steps.max()} == {-128, 127}


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (counted_from_the_bottom(scale=6 / 255, pad=1), "second"),
        (counted_from_the_bottom(scale=6 / 127), "round"),
        (counted_from_the_bottom(scale=6 / 255, cut="Sigmoid"), "round"),
    ],
    ids=["padding", "range-beyond-the-cut", "no-cut"],
)
def test_a_cut_that_cannot_move_is_named(model: onnx.ModelProto, named: str) -> None:
    with pytest.raises(BundleError, match=f"^{named} .*count it from 0"):
        shifted_cuts(model)


def test_unsigned_changes_no_bit(model: onnx.ModelProto, answer: Answer) -> None:
    before = answer(model, NEW)
    unsigned(model)
    for mine, theirs in zip(answer(model, NEW), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert {Wiring(model).value(node.input[2]).dtype for node in Wiring(model).rounded()} == {np.dtype(np.uint8)}


def test_unsigned_refuses_what_is_not_symmetric(model: onnx.ModelProto) -> None:
    wiring = Wiring(model)
    wiring.rounded()[0].input[2] = wiring.keep("odd", np.array(3, np.int8))
    with pytest.raises(BundleError, match="quantise it symmetrically"):
        unsigned(model)


def test_counting_from_zero_changes_no_bit_within_the_range(model: onnx.ModelProto, answer: Answer) -> None:
    unsigned(model)
    before = answer(model, KNOWN * 0.9)
    names = from_zero(model)
    for mine, theirs in zip(answer(model, KNOWN * 0.9), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert {"relu", "hardtanh", "hardsigmoid", "max_pool2d"} <= {name.rstrip("_0123456789") for name in names}
    assert not {"image", "conv2d", "hardswish"} & {name.rstrip("_0123456789") for name in names}


def test_counting_from_zero_cuts_off_at_255_steps_instead_of_127(answer: Answer) -> None:
    batch = torch.linspace(-1, 4, 3 * 32 * 32).view(1, 3, 32, 32)
    model = rounding_of(end=None, scale=0.01)
    before = answer(model, batch)[0]
    unsigned(model)
    assert from_zero(model) == ["cut"]
    after = answer(model, batch)[0]
    np.testing.assert_array_equal(after[before < 1.265], before[before < 1.265])
    assert before.max() == pytest.approx(1.27)
    assert after.max() == pytest.approx(2.55)


def test_absorbing_cuts_changes_no_bit(model: onnx.ModelProto, answer: Answer) -> None:
    unsigned(model)
    from_zero(model)
    folded_clips(model)
    before = answer(model, NEW)
    assert absorbed_cuts(model) == []
    assert counted(model, "Relu") == counted(model, "Clip") == 0
    for mine, theirs in zip(answer(model, NEW), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_cutting_off_integers_changes_no_bit(model: onnx.ModelProto, answer: Answer) -> None:
    unsigned(model)
    from_zero(model)
    before = answer(model, NEW * 3)
    assert len(integer_clips(model)) == 1
    assert absorbed_cuts(model) == []
    for mine, theirs in zip(answer(model, NEW * 3), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    after = {node.input[0]: node.op_type for node in model.graph.node}
    for node in model.graph.node:
        if node.op_type == "Conv":
            assert after[node.output[0]] == "QuantizeLinear"


def test_a_cut_inside_the_range_stays(answer: Answer) -> None:
    model = rounding_of(end=6.0, scale=6 / 127)
    unsigned(model)
    from_zero(model)
    assert absorbed_cuts(model) == ["cut"]
    assert counted(model, "Clip") == 1


@pytest.mark.parametrize("float_weights", [True, False])
def test_a_clip_stays_behind_a_convolution_of_float_weights(*, float_weights: bool) -> None:
    model = rounding_of(end=6.0, scale=6 / 127)
    wiring, weights = Wiring(model), "weights"
    wiring.keep("weights", np.ones((3, 3, 1, 1), np.float32 if float_weights else np.int8))
    if not float_weights:
        weights = "read_weights"
        model.graph.node.insert(0, helper.make_node("DequantizeLinear", ["weights", "scale", "zero"], [weights]))
    cut = next(node for node in model.graph.node if node.name == "cut")
    cut.input[0] = "sum"
    model.graph.node.insert(len(model.graph.node) - 3, helper.make_node("Conv", ["image", weights], ["sum"]))
    unsigned(model)
    from_zero(model)
    assert integer_clips(model) == ([] if float_weights else ["cut"])


def test_folding_a_clip_moves_a_value_by_half_an_old_and_half_a_new_step(answer: Answer) -> None:
    batch = torch.linspace(-2, 9, 3 * 32 * 32).view(1, 3, 32, 32)
    model = rounding_of(end=6.0, scale=6 / 127)
    unsigned(model)
    from_zero(model)
    before = answer(model, batch)[0]
    assert folded_clips(model) == ["cut"]
    assert absorbed_cuts(model) == []
    after = answer(model, batch)[0]
    assert np.abs(after - before).max() <= 6 / 127 / 2 + 6 / 255 / 2 + 1e-6
    assert after.max() == pytest.approx(6.0)


def test_integer_biases_move_a_sum_by_half_a_step_at_most(model: onnx.ModelProto, answer: Answer) -> None:
    first = next(node for node in model.graph.node if node.op_type == "Conv")
    wiring = Wiring(model)
    step = wiring.value(wiring.writer[first.input[0]].input[1]) * wiring.value(wiring.writer[first.input[1]].input[1])
    model.graph.output.append(helper.make_tensor_value_info(first.output[0], TensorProto.FLOAT, None))
    before = answer(model, NEW, [first.output[0]])[0]
    assert 0 < integer_biases(model) <= 0.5
    moved = np.abs(answer(model, NEW, [first.output[0]])[0] - before).max(axis=(0, 2, 3))
    assert np.all(moved <= 0.5 * step + 1e-5)
    assert moved.max() > 0
    biases = [wiring.value(node.input[2]) for node in model.graph.node if node.op_type == "Conv" and node.input[2] in
              wiring.constants]  # fmt: skip
    assert not biases


def test_a_bias_that_does_not_fit_is_named(model: onnx.ModelProto) -> None:
    wiring = Wiring(model)
    first = next(node for node in model.graph.node if node.op_type == "Conv")
    scale = wiring.constants[wiring.writer[first.input[1]].input[1]]
    scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale) * np.float32(1e-12), scale.name))
    with pytest.raises(BundleError, match=f"{first.name}.*does not fit"):
        integer_biases(model)


def test_the_whole_range_has_twice_the_steps_for_what_is_never_negative(model: onnx.ModelProto) -> None:
    unsigned(model)
    names = from_zero(model)
    before = {node.input[0]: float(Wiring(model).value(node.input[1])) for node in Wiring(model).rounded()}
    assert full_range(model) == names
    after = {node.input[0]: float(Wiring(model).value(node.input[1])) for node in Wiring(model).rounded()}
    for name, scale in before.items():
        assert after[name] == pytest.approx(scale * (127 / 255 if name in names else 1))


def test_an_unrounded_branch_moves_the_sum_by_half_a_step(model: onnx.ModelProto, answer: Answer) -> None:
    first = next(node for node in model.graph.node if node.op_type == "Add")
    wiring = Wiring(model)
    scales = [float(wiring.value(wiring.writer[name].input[1])) for name in first.input]
    model.graph.output.append(helper.make_tensor_value_info(first.output[0], TensorProto.FLOAT, None))
    before = answer(model, KNOWN * 0.9, [first.output[0]])[0]
    assert unrounded_branches(model) == [node.name for node in model.graph.node if node.op_type == "Add"]
    moved = np.abs(answer(model, KNOWN * 0.9, [first.output[0]])[0] - before)
    assert 0 < moved.max() <= max(scales) / 2 + 1e-5


def test_scalar_scales_are_the_same_numbers(model: onnx.ModelProto, answer: Answer) -> None:
    wiring = Wiring(model)
    for node in wiring.rounded():
        node.input[1] = wiring.keep(f"{node.input[1]}_one", wiring.value(node.input[1]).reshape(1))
    before = answer(model, NEW)
    scalar_scales(model)
    assert all(Wiring(model).value(node.input[1]).shape == () for node in Wiring(model).rounded())
    for mine, theirs in zip(answer(model, NEW), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_every_pass_leaves_a_valid_graph(symmetric: Path) -> None:
    model = onnx.load(symmetric)
    for each in (unsigned, from_zero, full_range, folded_clips, absorbed_cuts, integer_biases):
        each(model)
        onnx.checker.check_model(model, full_check=True)
    model = onnx.load(symmetric)
    for each in (unsigned, from_zero, integer_clips, absorbed_cuts, integer_biases):
        each(model)
        onnx.checker.check_model(model, full_check=True)


def test_x86_answers_as_the_symmetric_graph_within_the_range(symmetric: Path, tmp_path: Path, answer: Answer) -> None:
    write_x86(symmetric, tmp_path / "x86.onnx")
    before = answer(onnx.load(symmetric), KNOWN * 0.9)
    for mine, theirs in zip(answer(onnx.load(tmp_path / "x86.onnx"), KNOWN * 0.9), before, strict=True):
        assert np.abs(mine - theirs).max() <= 0.02 * np.abs(theirs).max()


def test_a_cut_that_starts_above_zero_stays() -> None:
    model = rounding_of(end=6.0, scale=6 / 255)
    Wiring(model).constants["low"].CopyFrom(numpy_helper.from_array(np.float32(1).reshape(()), "low"))
    unsigned(model)
    from_zero(model)
    assert absorbed_cuts(model) == ["cut"]
