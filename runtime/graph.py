"""What a model file may contain, checked on its bytes before onnxruntime sees them.

A few hundred bytes of ONNX can make a runtime allocate gigabytes, loop for ever or read other files. A bundle is
signed, but whoever made it may have been tricked, so only plain feed-forward operators with inline weights are let
through. The protobuf wire format is walked here directly (field numbers from onnx.proto3), as a station has no `onnx`
package.
"""

from __future__ import annotations

from collections.abc import Iterator

from contracts.errors import BundleError

_OPERATOR_NAMES = """
    Abs Add ArgMax AveragePool BatchNormalization Cast Clip Concat Constant Conv DequantizeLinear Div Dropout Elu Erf
    Exp Flatten Gather Gelu Gemm GlobalAveragePool GlobalMaxPool HardSigmoid HardSwish Identity InstanceNormalization
    LayerNormalization LeakyRelu LogSoftmax MatMul Max MaxPool Min Mul Neg Pad Pow QuantizeLinear RMSNormalization
    Reciprocal ReduceL2 ReduceMax ReduceMean ReduceSum Relu Reshape Shape Sigmoid Slice Softmax Softplus Split Sqrt
    Squeeze Sub Swish Tanh Transpose Unsqueeze Where
"""
OPERATORS = frozenset(_OPERATOR_NAMES.split())
"""Operators of a classifier: no control flow, no operator whose output size is a number in the file, no extension."""

DOMAINS = frozenset({"", "ai.onnx"})

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MODEL_GRAPH, _MODEL_TRAINING, _MODEL_FUNCTIONS = 7, 20, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14


class _MalformedError(Exception):
    """Not the protobuf it should be."""


def check_graph(data: bytes, name: str) -> None:
    """Raise BundleError, naming file and reason, unless the ONNX model in `data` is plain: see the module."""
    try:
        fields = list(_fields(memoryview(data)))
    except _MalformedError as error:
        raise BundleError(f"{name} is not an ONNX model ({error}); export it again") from error
    graphs = [value for number, value in fields if number == _MODEL_GRAPH and isinstance(value, memoryview)]
    if len(graphs) != 1:
        raise BundleError(f"{name} is not an ONNX model with one graph; export it again")
    if any(number in (_MODEL_TRAINING, _MODEL_FUNCTIONS) for number, _ in fields):
        raise BundleError(f"{name} defines functions or training steps, which a bundle may not hold; export it again")
    try:
        _check(graphs[0], name)
    except _MalformedError as error:
        raise BundleError(f"{name} is damaged ({error}); export it again") from error


def _check(graph: memoryview, name: str) -> None:
    for number, value in _fields(graph):
        if number == _GRAPH_NODE:
            _check_node(_message(value), name)
        elif number == _GRAPH_INITIALIZER:
            _check_tensor(_message(value), name)
        elif number == _GRAPH_SPARSE:
            raise BundleError(f"{name} holds sparse weights, which a bundle may not hold; export it again")


def _check_node(node: memoryview, name: str) -> None:
    operator, domain = "", ""
    for number, value in _fields(node):
        if number == _NODE_OPERATOR:
            operator = str(_message(value), "utf-8", "replace")
        elif number == _NODE_DOMAIN:
            domain = str(_message(value), "utf-8", "replace")
        elif number == _NODE_ATTRIBUTE:
            _check_attribute(_message(value), name)
    if operator not in OPERATORS or domain not in DOMAINS:
        shown = f"{domain}::{operator}" if domain else operator
        raise BundleError(f"{name} uses the operator {shown[:80]!r}, which is not among those a bundle may use")


def _check_attribute(attribute: memoryview, name: str) -> None:
    for number, value in _fields(attribute):
        if number in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
            _check_tensor(_message(value), name)
        elif number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
            raise BundleError(f"{name} contains a graph within a node (a loop or branch), which a bundle may not hold")


def _check_tensor(tensor: memoryview, name: str) -> None:
    for number, value in _fields(tensor):
        if number == _TENSOR_EXTERNAL or (number == _TENSOR_LOCATION and value != 0):
            raise BundleError(
                f"{name} keeps weights in another file, which is never loaded; export with inline weights"
            )


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise _MalformedError("a number where a message belongs")
    return value


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(field number, value) of one protobuf message. Raises _MalformedError."""
    position, end = 0, len(data)
    while position < end:
        key, position = _varint(data, position)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire == _BYTES:
            size, position = _varint(data, position)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise _MalformedError(f"unknown protobuf wire type {wire}")
        if position + size > end:
            raise _MalformedError("it ends early")
        yield number, data[position : position + size]
        position += size


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise _MalformedError("a number ends early")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
