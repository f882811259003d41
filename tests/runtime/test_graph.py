"""Model files are looked at before onnxruntime loads them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from contracts.errors import BundleError
from runtime.graph import OPERATORS, check_graph
from tests.simulators.small_bundle import model_bytes


def model(*nodes: Any, initializers: Any = (), **more: Any) -> ModelProto:
    shape = [1, 3, 8, 8]
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)],
        list(initializers),
    )
    made: ModelProto = helper.make_model(graph, **more)
    return made


def check(made: ModelProto) -> None:
    check_graph(made.SerializeToString(), "model.onnx")


def test_ordinary_network_passes() -> None:
    check_graph(model_bytes(4.0, 0), "model.onnx")


@pytest.mark.parametrize("operator", ["ConstantOfShape", "Expand", "Tile", "Range", "Resize", "RandomNormal", "Loop"])
def test_operator_off_the_list_is_named(operator: str) -> None:
    assert operator not in OPERATORS
    with pytest.raises(BundleError, match=f"'{operator}'"):
        check(model(helper.make_node(operator, ["image"], ["logits"])))


def test_operator_of_another_domain_is_refused() -> None:
    with pytest.raises(BundleError, match=r"com\.example::Relu"):
        check(model(helper.make_node("Relu", ["image"], ["logits"], domain="com.example")))


def test_graph_within_a_node_is_refused_even_under_an_allowed_name() -> None:
    inner = model(helper.make_node("Relu", ["image"], ["logits"])).graph
    with pytest.raises(BundleError, match="graph within a node"):
        check(model(helper.make_node("Relu", ["image"], ["logits"], body=inner)))


def external_tensor() -> TensorProto:
    tensor: TensorProto = numpy_helper.from_array(np.zeros(4, np.float32), "weights")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    return tensor


def test_weights_in_another_file_are_refused() -> None:
    relu = helper.make_node("Relu", ["image"], ["logits"])
    with pytest.raises(BundleError, match="keeps weights in another file"):
        check(model(relu, initializers=[external_tensor()]))


def test_constant_in_another_file_is_refused() -> None:
    constant = helper.make_node("Constant", [], ["logits"], value=external_tensor())
    with pytest.raises(BundleError, match="keeps weights in another file"):
        check(model(constant))


def test_functions_are_refused() -> None:
    relu = helper.make_node("Relu", ["x"], ["y"])
    opset = helper.make_opsetid("", 17)
    function = helper.make_function("", "Relu", ["x"], ["y"], [relu], [opset])
    with pytest.raises(BundleError, match="defines functions"):
        check(model(helper.make_node("Relu", ["image"], ["logits"]), functions=[function]))


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"PK\x03\x04", b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x3b"]
)
def test_what_is_no_onnx_is_refused(data: bytes) -> None:
    with pytest.raises(BundleError, match="not an ONNX model"):
        check_graph(data, "model.onnx")


def test_two_graphs_are_refused() -> None:
    made = model(helper.make_node("Relu", ["image"], ["logits"])).SerializeToString()
    with pytest.raises(BundleError, match="one graph"):
        check_graph(made + made, "model.onnx")


def test_every_cut_of_a_model_is_refused_or_read_without_another_error() -> None:
    data = model_bytes(4.0, 0)
    refused = 0
    for end in range(0, len(data), 7):
        try:
            check_graph(data[:end], "model.onnx")
        except BundleError:
            refused += 1
    assert refused > len(data) // 7 * 0.9
