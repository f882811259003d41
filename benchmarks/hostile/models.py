"""Model files that somebody damaged or made to do harm: each function changes one, at random, in its own way.

Names, documentation and claimed shapes are taken out first (`bare`), so that a flipped bit hits what matters.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

Mutate = Callable[[random.Random, bytes], bytes]
_HUGE = (2**31 - 1, 2**40, 2**62, 10**9)


def bare(data: bytes) -> bytes:
    """The same network without anything that may change and mean nothing."""
    model = onnx.load_model_from_string(data)
    for field in ("producer_name", "producer_version", "doc_string", "domain", "metadata_props", "model_version"):
        model.ClearField(field)
    for field in ("value_info", "doc_string", "metadata_props", "name", "quantization_annotation"):
        model.graph.ClearField(field)
    model.graph.name = "g"
    for node in model.graph.node:
        for field in ("name", "doc_string", "metadata_props"):
            node.ClearField(field)
    for item in (*model.graph.input, *model.graph.output):
        item.ClearField("doc_string")
        item.ClearField("metadata_props")
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    made: bytes = model.SerializeToString()
    return made


def truncated(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def bits(rng: random.Random, data: bytes) -> bytes:
    """1 to 64 bits of the structure, none of the weights."""
    changed, places = bytearray(data), _structure(data)
    for _ in range(2 ** rng.randrange(7)):
        changed[rng.choice(places)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def junk(rng: random.Random, data: bytes) -> bytes:
    """Bytes of the structure overwritten, inserted or left out."""
    at, noise = rng.choice(_structure(data)), rng.randbytes(rng.randrange(1, 40))
    return data[:at] + rng.choice([noise + data[at + len(noise) :], noise + data[at:], data[at + len(noise) :]])


def other_format(rng: random.Random, data: bytes) -> bytes:
    starts = [b"", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"ORTM", b"\x80\x04\x95", b"{}", b"\x1f\x8b\x08", b"\x0a" * 9]
    return rng.choice(starts) + rng.randbytes(rng.randrange(2000))


def foreign(rng: random.Random, data: bytes) -> bytes:
    """An operator of somebody else, or a function in the file that takes an operator's name."""
    model = onnx.load_model_from_string(data)
    node = rng.choice(model.graph.node)
    domain, operator = rng.choice(
        [("com.microsoft", "FusedConv"), ("com.microsoft", "QAttention"), ("ai.onnx.ml", "TreeEnsembleClassifier"),
         ("evil", node.op_type), ("", "Foo"), ("", "RandomNormal"), ("", "StringNormalizer"),
         ("ai.onnx.training", "Adam"),
         ("", "relu"), ("", ""), ("", "Optional"), ("", "SequenceInsert"), ("", "NonMaxSuppression"), ("pyop", "PyOp")]
    )  # fmt: skip
    if rng.random() < 0.2:
        inner = helper.make_node("Identity", ["x"], ["y"])
        model.functions.append(helper.make_function("", node.op_type, ["x"], ["y"], [inner], list(model.opset_import)))
    else:
        node.domain, node.op_type = domain, operator
    return _bytes(model)


def external(rng: random.Random, data: bytes) -> bytes:
    """Weights that lie in another file."""
    model = onnx.load_model_from_string(data)
    tensor = rng.choice(model.graph.initializer)
    tensor.ClearField("raw_data")
    if rng.random() < 0.8:
        tensor.data_location = TensorProto.EXTERNAL
    wanted = rng.choice(
        ["/etc/passwd", "../../../etc/shadow", "manifest.json", "model.fp32.onnx", "/dev/zero", "", "a\0b"]
    )
    for key, value in (("location", wanted), ("offset", str(rng.choice([0, -1, 2**62]))), ("length", str(2**40))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    if rng.random() < 0.3:
        model.graph.node.insert(0, helper.make_node("Constant", [], ["unused"], value=tensor))
        model.graph.initializer.remove(tensor)
    return _bytes(model)


def shapes(rng: random.Random, data: bytes) -> bytes:
    """Sides that cannot be, of weights, inputs, outputs or what lies between."""
    model = onnx.load_model_from_string(data)
    kind = rng.randrange(4)
    if kind == 0:
        tensor = rng.choice(model.graph.initializer)
        del tensor.dims[:]
        tensor.dims.extend([rng.choice([*_HUGE, -1, -(2**63), 2**16 + 1]) for _ in range(rng.randrange(1, 12))])
    elif kind == 1:
        tensor = rng.choice([each for each in model.graph.initializer if len(each.dims)])
        tensor.dims[rng.randrange(len(tensor.dims))] += rng.choice([1, 1000, 2**33])
    elif kind == 2:
        item = rng.choice([*model.graph.input, *model.graph.output])
        sides = item.type.tensor_type.shape.dim
        sides[rng.randrange(len(sides))].dim_value = rng.choice([*_HUGE, -1, 5000])
    else:
        name = rng.choice([output for node in model.graph.node for output in node.output])
        model.graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [rng.choice(_HUGE)] * 4))
    return _bytes(model)


def attributes(rng: random.Random, data: bytes) -> bytes:
    """Pads, strides, kernels, dilations and groups beyond reason."""
    model = onnx.load_model_from_string(data)
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    node = rng.choice(convolutions)
    name = rng.choice(["pads", "strides", "dilations", "kernel_shape", "group"])
    for attribute in [each for each in node.attribute if each.name == name]:
        node.attribute.remove(attribute)
    number = rng.choice([*_HUGE, -5, -(2**62), 0 if name != "pads" else -9, 9000])
    long = [number] * rng.choice([4 if name == "pads" else 2, 3, 5000])
    node.attribute.append(helper.make_attribute(name, number if name == "group" else long))
    return _bytes(model)


def growth(rng: random.Random, data: bytes) -> bytes:
    """A tensor that is made gigabytes large, by operators that may and by operators that may not be used."""
    model = onnx.load_model_from_string(data)
    source, nodes = "embedding", []
    kind = rng.choice(
        ["concat", "outer", "pad", "reshape", "gather", "matmul", "fill", "expand", "tile", "range", "resize"]
    )
    side = rng.choice([2**28, 2**31 - 1, 2**40, 2**62])
    if kind == "concat":
        for step in range(rng.randrange(24, 60)):
            nodes.append(helper.make_node("Concat", [source, source], [f"grown{step}"], axis=1))
            source = f"grown{step}"
    elif kind == "outer":
        _weights(model, "axis2", np.array([2], np.int64))
        _weights(model, "axis1", np.array([1], np.int64))
        _weights(model, "wide", np.zeros((1, 2**17), np.float32))
        nodes = [
            helper.make_node("Unsqueeze", ["wide", "axis2"], ["tall"]),
            helper.make_node("Unsqueeze", ["wide", "axis1"], ["flat"]),
            helper.make_node("Add", ["tall", "flat"], ["grown"]),
        ]
    elif kind == "pad":
        _weights(model, "much", np.array([0, 0, 0, side], np.int64))
        nodes = [helper.make_node("Pad", [source, "much"], ["grown"])]
    elif kind == "gather":
        _weights(model, "many", np.zeros((2**18,), np.int64))
        _weights(model, "rows", np.zeros((1, 2**12), np.float32))
        nodes = [helper.make_node("Gather", ["rows", "many"], ["grown"], axis=0)]
    elif kind == "matmul":
        _weights(model, "left", np.zeros((2**17, 1), np.float32))
        _weights(model, "right", np.zeros((1, 2**17), np.float32))
        nodes = [helper.make_node("MatMul", ["left", "right"], ["grown"])]
    else:
        _weights(model, "much", np.array([side], np.int64))
        operator = {"fill": "ConstantOfShape", "expand": "Expand", "tile": "Tile", "range": "Range", "resize": "Resize"}
        inputs = ["much"] if kind == "fill" else ["much"] * 3 if kind == "range" else [source, "much"]
        nodes = [helper.make_node(operator.get(kind, "Reshape"), inputs, ["grown"])]
    grown = nodes[-1].output[0]
    nodes += [helper.make_node("ReduceSum", [grown], ["one"], keepdims=0)]
    return _spliced(model, nodes, "one")


def computed(rng: random.Random, data: bytes) -> bytes:
    """The same, with a size that the network computes: no reading of the file can tell."""
    model = onnx.load_model_from_string(data)
    _weights(model, "times", np.array([0, 0, 0, rng.choice([2**26, 2**27, 2**28])], np.int64))
    nodes = [
        helper.make_node("Shape", ["image"], ["sides"]),
        helper.make_node("Mul", ["sides", "times"], ["much"]),
        helper.make_node("Pad", ["embedding", "much"], ["grown"]),
        helper.make_node("ReduceSum", ["grown"], ["one"], keepdims=0),
    ]
    return _spliced(model, nodes, "one")


def control(rng: random.Random, data: bytes) -> bytes:
    """Loops without end and branches within branches."""
    model = onnx.load_model_from_string(data)
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["goes"])], "body",
        [helper.make_tensor_value_info("step", TensorProto.INT64, []),
         helper.make_tensor_value_info("going", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("goes", TensorProto.BOOL, [])],
    )  # fmt: skip
    _weights(model, "true", np.array(True))
    operator, attribute = rng.choice([("Loop", "body"), ("If", "then_branch"), ("Scan", "body"), ("Relu", "body")])
    for _ in range(rng.choice([0, 1, 10, 20])):
        inner = helper.make_node(operator, ["true"], ["x"], **{attribute: body})
        body = helper.make_graph([inner], "body", [], [helper.make_tensor_value_info("x", TensorProto.BOOL, [])])
    node = helper.make_node(operator, ["", "true"] if operator == "Loop" else ["true"], [], **{attribute: body})
    model.graph.node.append(node)
    return _bytes(model)


def depth(rng: random.Random, data: bytes) -> bytes:
    """Messages within messages, thousands deep, where the format allows it: a type of a type of a type."""
    levels, packed = rng.choice([200, 2000, 5000]), b""
    for _ in range(levels):
        packed = _field(4, _field(1, packed))  # sequence_type { elem_type { ... } }
    value = _field(1, b"deep") + _field(2, packed)
    model = onnx.load_model_from_string(data)
    graph = model.graph.SerializeToString() + _field(rng.choice([11, 12, 13]), value)
    model.ClearField("graph")
    return _bytes(model) + _field(7, graph)


def types(rng: random.Random, data: bytes) -> bytes:
    """Weights, inputs or outputs of another type."""
    model = onnx.load_model_from_string(data)
    if rng.random() < 0.7:
        tensor = rng.choice([each for each in model.graph.initializer if each.data_type == TensorProto.FLOAT])
        tensor.data_type = rng.choice([0, 2, 6, 7, 8, 9, 11, 14, 15, 17, 23, 99, -1])
    else:
        item = rng.choice([*model.graph.input, *model.graph.output])
        item.type.tensor_type.elem_type = rng.choice([2, 3, 7, 8, 11, 99])
    return _bytes(model)


def names(rng: random.Random, data: bytes) -> bytes:
    """Names that are used twice, or that nothing has."""
    model = onnx.load_model_from_string(data)
    kind = rng.randrange(4)
    if kind == 0:
        model.graph.initializer.append(rng.choice(model.graph.initializer))
    elif kind == 1:
        one, other = rng.sample(range(len(model.graph.node)), 2)
        model.graph.node[one].output[0] = model.graph.node[other].output[0]
    elif kind == 2:
        node = rng.choice(model.graph.node)
        node.input[0] = rng.choice(["", "nobody", "\u202e", "x" * 100_000])
    else:
        rng.choice(model.graph.initializer).name = rng.choice(["", "logits", "image", "other"])
    return _bytes(model)


def cycle(rng: random.Random, data: bytes) -> bytes:
    """A node that reads what is made from its own output."""
    model = onnx.load_model_from_string(data)
    at = rng.randrange(len(model.graph.node) - 1)
    model.graph.node[at].input[0] = rng.choice(model.graph.node[at:]).output[0]
    return _bytes(model)


def ends(rng: random.Random, data: bytes) -> bytes:
    """Inputs and outputs that are missing, too many or called otherwise; no graph, two graphs."""
    model = onnx.load_model_from_string(data)
    kind = rng.randrange(6)
    if kind == 0:
        del model.graph.output[rng.randrange(len(model.graph.output))]
    elif kind == 1:
        rng.choice(model.graph.output).name = "other"
    elif kind == 2:
        del model.graph.input[:]
    elif kind == 3:
        model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))
    elif kind == 4:
        model.ClearField("graph")
    else:
        return data + data
    return _bytes(model)


def not_numbers(rng: random.Random, data: bytes) -> bytes:
    """The weights or scales of one node are not numbers."""
    model = onnx.load_model_from_string(data)
    read = {name for node in model.graph.node for name in node.input}
    tensor = rng.choice(
        [each for each in model.graph.initializer if each.data_type == TensorProto.FLOAT and each.name in read]
    )
    values = np.full(tuple(tensor.dims), rng.choice([np.nan, -np.nan]), np.float32)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return _bytes(model)


def other_answers(rng: random.Random, data: bytes) -> bytes:
    """A sound network with the wrong answers: all weights of its head, and so its logits, are other ones."""
    model = onnx.load_model_from_string(data)
    maker = next(node for node in model.graph.node if "logits" in node.output)
    shift = rng.choice([-50.0, 50.0, 1e30])
    wrong = helper.make_node("Mul", ["right", "factors"], ["logits"])
    maker.output[list(maker.output).index("logits")] = "right"
    _weights(model, "factors", np.resize(np.array([shift, -shift], np.float32), _labels(model)))
    model.graph.node.append(wrong)
    return _bytes(model)


def opsets(rng: random.Random, data: bytes) -> bytes:
    """Versions that do not exist."""
    model = onnx.load_model_from_string(data)
    if rng.random() < 0.5:
        for each in model.opset_import:
            each.version = rng.choice([0, -1, 10**6, 2**62])
    elif rng.random() < 0.5:
        model.ir_version = rng.choice([-1, 10**6, 2**62])
    else:
        del model.opset_import[:]
    return _bytes(model)


def many(rng: random.Random, data: bytes) -> bytes:
    """More nodes, weights, inputs or attributes than any network has."""
    model = onnx.load_model_from_string(data)
    kind = rng.randrange(4)
    if kind == 0:
        for step in range(30_000):
            model.graph.node.add(op_type="Identity", input=["image"], output=[f"i{step}"])
    elif kind == 1:
        for step in range(45_000):
            model.graph.initializer.append(TensorProto(name=f"w{step}", data_type=1, dims=[1], raw_data=b"\0" * 4))
    elif kind == 2:
        model.graph.node.add(op_type="Sum" if rng.random() < 0.5 else "Max", input=["image"] * 50_000, output=["most"])
    else:
        return data + b"\x80\x01\x00"[:3] * 300_000
    return _bytes(model)


def slow(rng: random.Random, data: bytes) -> bytes:
    """Within every limit on its own, together far too slow: hundreds of wide convolutions."""
    model = onnx.load_model_from_string(data)
    width = rng.choice([64, 96])
    kernel = np.zeros((width, width, 3, 3), np.float32)
    _weights(model, "kernel", kernel)
    _weights(model, "first", np.zeros((width, 3, 1, 1), np.float32))
    nodes = [helper.make_node("Conv", ["image", "first"], ["slow0"])]
    for step in range(400):
        nodes.append(helper.make_node("Conv", [f"slow{step}", "kernel"], [f"slow{step + 1}"], pads=[1, 1, 1, 1]))
    nodes.append(helper.make_node("ReduceSum", ["slow400"], ["one"], keepdims=0))
    return _spliced(model, nodes, "one")


MUTATIONS: dict[str, Mutate] = {
    each.__name__: each
    for each in (
        truncated, bits, junk, other_format, foreign, external, shapes, attributes, growth, computed, control, depth,
        types, names, cycle, ends, not_numbers, other_answers, opsets, many, slow,
    )
}  # fmt: skip


def _bytes(model: ModelProto) -> bytes:
    made: bytes = model.SerializeToString()
    return made


def _structure(data: bytes) -> list[int]:
    """Positions that do not lie in weights."""
    model, inside = onnx.load_model_from_string(data), np.zeros(len(data), bool)
    for tensor in model.graph.initializer:
        at = data.find(tensor.raw_data) if len(tensor.raw_data) >= 4 else -1
        if at >= 0:
            inside[at : at + len(tensor.raw_data)] = True
    return [int(at) for at in np.flatnonzero(~inside)]


def _weights(model: ModelProto, name: str, values: np.ndarray[Any, Any]) -> None:
    model.graph.initializer.append(numpy_helper.from_array(values, name))


def _labels(model: ModelProto) -> int:
    return next(
        int(item.type.tensor_type.shape.dim[1].dim_value) for item in model.graph.output if item.name == "logits"
    )


def _spliced(model: ModelProto, nodes: list[NodeProto], extra: str) -> bytes:
    """The logits are what they were plus nothing times `extra`: right answers, at any price."""
    maker = next(node for node in model.graph.node if "logits" in node.output)
    maker.output[list(maker.output).index("logits")] = "right"
    _weights(model, "nothing", np.zeros((), np.float32))
    model.graph.node.extend(nodes)
    model.graph.node.append(helper.make_node("Mul", [extra, "nothing"], ["added"]))
    model.graph.node.append(helper.make_node("Add", ["right", "added"], ["logits"]))
    return _bytes(model)


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])
