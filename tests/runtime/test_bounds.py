"""How large a network can get is known from its file."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from contracts.errors import BundleError
from runtime.bounds import LARGEST_TENSOR
from runtime.graph import check_graph

SIDES = [1, 3, 8, 8]


def model(*nodes: Any, **weights: Any) -> ModelProto:
    made: ModelProto = helper.make_model(
        helper.make_graph(
            list(nodes),
            "test",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, SIDES)],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
        )
    )
    return made


def refused(made: ModelProto, reason: str) -> None:
    with pytest.raises(BundleError, match=reason) as caught:
        check_graph(made.SerializeToString(), "model.onnx")
    assert "model.onnx" in str(caught.value)


def node(operator: str, inputs: list[str], **attributes: Any) -> Any:
    return helper.make_node(operator, inputs, ["logits"], **attributes)


def test_doubling_forty_times_is_refused() -> None:
    names = ["image", *[f"x{step}" for step in range(39)], "logits"]
    nodes = [helper.make_node("Concat", [a, a], [b], axis=1) for a, b in itertools.pairwise(names)]
    refused(model(*nodes), "Concat would make")


def test_doubling_within_the_limit_passes() -> None:
    check_graph(model(node("Concat", ["image", "image"], axis=1)).SerializeToString(), "model.onnx")


@pytest.mark.parametrize("axis", [1, -3])
def test_padding_to_gigabytes_is_refused(axis: int) -> None:
    pads = [0] * 8
    pads[4 + axis % 4] = LARGEST_TENSOR
    refused(model(node("Pad", ["image", "pads"]), pads=np.array(pads, np.int64)), "Pad would make")
    refused(model(node("Pad", ["image"], pads=pads)), "pads")


def test_outer_product_by_broadcasting_is_refused() -> None:
    wide = np.zeros((1, 20_000), np.float32)
    turned = helper.make_node("Transpose", ["wide"], ["tall"])
    refused(model(turned, node("Add", ["wide", "tall"]), wide=wide), "Add would make 400000000 elements")


def test_outer_product_by_multiplication_is_refused() -> None:
    long, wide = np.zeros((20_000, 1), np.float32), np.zeros((1, 20_000), np.float32)
    refused(model(node("MatMul", ["long", "wide"]), long=long, wide=wide), "MatMul would make 400000000 elements")
    refused(model(node("Gemm", ["wide", "wide"], transA=1), wide=wide), "Gemm would make 400000000 elements")


def test_many_indices_into_a_wide_table_are_refused() -> None:
    table, many = np.zeros((1, 4096), np.float32), np.zeros(2**18, np.int64)
    refused(model(node("Gather", ["table", "many"]), table=table, many=many), "Gather would make")


def test_reshape_to_more_than_there_is_is_refused() -> None:
    refused(model(node("Reshape", ["image", "shape"]), shape=np.array([1, 193], np.int64)), r"Reshape wants \[1, 193\]")


def test_reshape_with_an_open_side_is_followed() -> None:
    reshaped = helper.make_node("Reshape", ["image", "shape"], ["flat"])
    squared = [reshaped, helper.make_node("Transpose", ["flat"], ["tall"]), node("MatMul", ["tall", "flat"])]
    check_graph(model(*squared, shape=np.array([1, -1], np.int64)).SerializeToString(), "model.onnx")


@pytest.mark.parametrize(
    ("name", "value"),
    [("pads", [10**6] * 4), ("strides", [2**40, 1]), ("dilations", [-(2**62), 1]), ("group", 2**40)],
)
def test_attribute_beyond_reason_is_refused(name: str, value: Any) -> None:
    kernel = np.zeros((8, 3, 3, 3), np.float32)
    refused(model(node("Conv", ["image", "kernel"], **{name: value}), kernel=kernel), f"attribute {name}")


def test_convolutions_that_would_take_minutes_are_refused() -> None:
    pads = [500] * 4
    nodes = [helper.make_node("Conv", ["image", "kernel"], ["x0"], pads=pads)]
    nodes += [helper.make_node("Conv", [f"x{i}", "wide"], [f"x{i + 1}"], pads=[1] * 4) for i in range(120)]
    nodes.append(node("Relu", ["x120"]))
    kernel, wide = np.zeros((64, 3, 3, 3), np.float32), np.zeros((64, 64, 3, 3), np.float32)
    refused(model(*nodes, kernel=kernel, wide=wide), "multiplications")


@pytest.mark.parametrize("shape", [[2**31, 2**31], [2**62]])
def test_claimed_shape_beyond_reason_is_refused(shape: list[int]) -> None:
    made = model(node("Relu", ["image"]))
    made.graph.value_info.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape))
    refused(made, "is said to have the shape")


def test_output_that_is_said_to_be_larger_than_it_can_be_is_refused() -> None:
    made = model(node("Relu", ["image"]))
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 5000, 8, 8]))
    refused(made, r"'logits' is said to have the shape \[1, 5000, 8, 8\], it has \[1, 3, 8, 8\]")
    made.graph.output[0].type.tensor_type.shape.dim[1].dim_value = -1
    refused(made, "'logits' has a side below 0")


def test_side_with_a_name_is_left_to_the_session() -> None:
    made = model(node("Relu", ["image"]))
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3, 8, 8]))
    check_graph(made.SerializeToString(), "model.onnx")


def test_model_of_no_version_is_refused() -> None:
    for change in ("ir_version", "opset_import"):
        made = model(node("Relu", ["image"]))
        made.ClearField(change)
        refused(made, "which version of ONNX")
    made = model(node("Relu", ["image"]))
    made.ir_version = -1
    refused(made, "which version of ONNX")


def weights(kind: int = TensorProto.FLOAT, dims: tuple[int, ...] = (4,), **values: Any) -> ModelProto:
    made = model(node("Relu", ["image"]))
    made.graph.initializer.append(TensorProto(name="w", data_type=kind, dims=dims, **values))
    return made


@pytest.mark.parametrize(
    "made",
    [
        weights(raw_data=b"\0" * 15),
        weights(raw_data=b"\0" * 17),
        weights(dims=(2**40,), raw_data=b"\0" * 16),
        weights(float_data=[0.0] * 3),
        weights(),
        weights(kind=TensorProto.INT64, dims=(5,), int64_data=[1] * 4),
    ],
)
def test_weights_that_do_not_lie_in_their_bytes_are_refused(made: ModelProto) -> None:
    refused(made, "do not lie in")


@pytest.mark.parametrize("dims", [(-1,), (-(2**63), 1), (1,) * 9])
def test_shape_that_cannot_be_is_refused(dims: tuple[int, ...]) -> None:
    refused(weights(dims=dims, raw_data=b"\0" * 4), "cannot be|more than 8 numbers")


def test_weights_as_numbers_pass() -> None:
    check_graph(weights(float_data=[0.0] * 4).SerializeToString(), "model.onnx")


def test_strings_are_no_weights() -> None:
    refused(weights(kind=TensorProto.STRING, dims=(1,), string_data=[b"x"]), "of type 8")


def test_cycle_is_refused() -> None:
    nodes = [
        helper.make_node("Add", ["image", "b"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        node("Relu", ["b"]),
    ]
    refused(model(*nodes), "Add reads 'b' before anything makes it")


def test_name_made_twice_is_refused() -> None:
    refused(model(node("Relu", ["image"]), node("Relu", ["image"])), "'logits' is made twice")
    made = model(node("Relu", ["image"]), w=np.zeros(4, np.float32))
    made.graph.initializer.append(made.graph.initializer[0])
    refused(made, "two weights of one name")


def test_output_that_nothing_makes_is_refused() -> None:
    refused(model(helper.make_node("Relu", ["image"], ["other"])), "nothing makes its output 'logits'")


def test_too_many_operators_are_refused() -> None:
    made = model(node("Relu", ["image"]))
    for step in range(20_000):
        made.graph.node.add(op_type="Relu", input=["image"], output=[f"x{step}"])
    refused(made, "more than 20000 operators")


def test_sparse_weights_in_an_attribute_are_refused() -> None:
    made = model(helper.make_node("Constant", [], ["c"]), node("Relu", ["image"]))
    attribute = made.graph.node[0].attribute.add()
    attribute.name, attribute.type = "sparse_value", 11
    attribute.sparse_tensor.dims.append(2**40)
    refused(made, "sparse weights")


def test_name_that_is_no_text_is_refused() -> None:
    data = model(node("Relu", ["image"])).SerializeToString().replace(b"logits", b"logi\xff\xfe")
    with pytest.raises(BundleError, match="not UTF-8"):
        check_graph(data, "model.onnx")
