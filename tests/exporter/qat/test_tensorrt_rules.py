"""The linter passes what the route writes for TensorRT, and names the node that breaks a rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from contracts.errors import BundleError
from exporter.qat.passes.unrounded_branches import unrounded_branches
from exporter.qat.passes.wiring import Wiring
from exporter.qat.tensorrt_rules import offences
from exporter.qat.write import write_tensorrt, write_x86


@pytest.fixture
def sound(model: onnx.ModelProto) -> onnx.ModelProto:
    unrounded_branches(model)
    assert offences(model) == []
    return model


def convolution(model: onnx.ModelProto) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.op_type == "Conv")


def only(model: onnx.ModelProto) -> tuple[str, str]:
    found = offences(model)
    assert len(found) == 1, [str(each) for each in found]
    return found[0].node, found[0].rule


def test_what_is_written_for_tensorrt_breaks_no_rule(symmetric: Path, tmp_path: Path) -> None:
    write_tensorrt(symmetric, tmp_path / "tensorrt.onnx")
    assert offences(onnx.load(tmp_path / "tensorrt.onnx")) == []


def test_a_graph_for_x86_is_refused(symmetric: Path, tmp_path: Path) -> None:
    write_x86(symmetric, tmp_path / "x86.onnx")
    with pytest.raises(BundleError, match="TensorRT would not run this graph as int8"):
        write_tensorrt(tmp_path / "x86.onnx", tmp_path / "tensorrt.onnx")


def test_a_residual_addition_of_rounded_numbers_is_named(model: onnx.ModelProto) -> None:
    found = offences(model)
    assert {each.node for each in found} == {node.name for node in model.graph.node if node.op_type == "Add"}
    assert all("both inputs are rounded" in each.rule for each in found)


def test_a_zero_point_is_named(sound: onnx.ModelProto) -> None:
    wiring = Wiring(sound)
    node = wiring.rounded()[1]
    node.input[2] = wiring.keep("odd", np.array(5, np.int8))
    assert only(sound) == (node.name, "quantisation must be symmetric int8 with zero point 0, not int8 with 5")


def test_a_scale_of_zero_is_named(sound: onnx.ModelProto) -> None:
    wiring = Wiring(sound)
    node = wiring.rounded()[1]
    node.input[1] = wiring.keep("nothing", np.array(0, np.float32))
    assert only(sound) == (node.name, "its scales must be positive and finite")


def test_scales_along_the_wrong_axis_are_named(sound: onnx.ModelProto) -> None:
    node = convolution(sound)
    weight = Wiring(sound).writer[node.input[1]]
    next(each for each in weight.attribute if each.name == "axis").i = 1
    name, rule = only(sound)
    assert name == node.name
    assert "axis 1" in rule


def test_a_float_input_of_a_quantised_convolution_is_named(sound: onnx.ModelProto) -> None:
    node = convolution(sound)
    reading = Wiring(sound).writer[node.input[0]]
    node.input[0] = Wiring(sound).writer[reading.input[0]].input[0]
    name, rule = only(sound)
    assert name == node.name
    assert "quantise all inputs" in rule


def test_a_quantised_bias_is_named(sound: onnx.ModelProto) -> None:
    node, wiring = convolution(sound), Wiring(sound)
    names = [
        wiring.keep("steps", np.ones(16, np.int32)),
        wiring.keep("step", np.ones(16, np.float32)),
        wiring.keep("zeros", np.zeros(16, np.int32)),
    ]
    sound.graph.node.insert(0, helper.make_node("DequantizeLinear", names, ["bias"], name="bias_reading", axis=0))
    node.input[2] = "bias"
    assert only(sound) == ("bias_reading", "int32 is not dequantised: keep the bias in float")


def test_rounding_between_a_convolution_and_its_relu_is_named(sound: onnx.ModelProto) -> None:
    wiring = Wiring(sound)
    relu = next(node for node in sound.graph.node if node.op_type == "Relu" and
                wiring.writer[node.input[0]].op_type == "Conv")  # fmt: skip
    like = wiring.rounded()[0]
    place = list(sound.graph.node).index(relu)
    for operator, given, made in (("DequantizeLinear", "early", "late"), ("QuantizeLinear", relu.input[0], "early")):
        sound.graph.node.insert(place, helper.make_node(operator, [given, *like.input[1:]], [made], name=made))
    relu.input[0] = "late"
    assert only(sound) == (
        relu.name, "a convolution is rounded before its activation, which keeps both from being one kernel"
    )  # fmt: skip


def test_a_float_skip_connection_is_named(sound: onnx.ModelProto) -> None:
    wiring = Wiring(sound)
    addition = next(node for node in sound.graph.node if node.op_type == "Add")
    place = next(n for n, name in enumerate(addition.input) if wiring.writer[name].op_type == "DequantizeLinear")
    reading = wiring.writer[addition.input[place]]
    addition.input[place] = wiring.writer[reading.input[0]].input[0]
    name, rule = only(sound)
    assert name == addition.name
    assert rule == "the residual input of a skip connection must be quantised"
