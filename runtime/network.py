"""An ONNX model as values: its nodes, weights, inputs and outputs, without the `onnx` package.

Field numbers are those of onnx.proto3. Nothing is loaded: weights stay views into the file's bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from contracts.errors import BundleError
from runtime.wire import MalformedError, fields, message, numbers, signed, text

MOST_NODES = 20_000
MOST_WEIGHTS = 40_000
MOST_INPUTS = 256  # of one node, and its outputs
MOST_ATTRIBUTES = 32
MOST_INTEGERS = 4096  # of one attribute
MOST_DIMENSIONS = 8

_MODEL_VERSION, _MODEL_GRAPH, _MODEL_OPERATORS, _MODEL_TRAINING, _MODEL_FUNCTIONS = 1, 7, 8, 20, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_VALUE, _GRAPH_SPARSE = 1, 5, 11, 12, 13, 15
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 4, 5, 7
_NAME, _INTEGER, _STRING, _TENSOR, _GRAPH, _INTEGERS, _TENSORS, _GRAPHS = 1, 3, 4, 5, 6, 8, 10, 11
_SPARSE, _SPARSES = 22, 23
_DIMS, _TYPE, _INT64_DATA, _TENSOR_NAME, _RAW, _EXTERNAL, _LOCATION = 1, 2, 7, 8, 9, 13, 14
_TYPED_DATA = {4: 4, 5: 1, 7: 1, 10: 8, 11: 1}  # field -> least bytes of one element
_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}  # type -> bytes
_INT32, _INT64 = 6, 7
_NAMED = -1  # a side that has a name instead of a length


@dataclass(frozen=True)
class Weights:
    """A tensor that lies in the file. `integers` are its values where it is a short list of whole numbers, `kind` its
    type as a number of onnx.proto3, `raw` its bytes where they lie there as they are."""

    name: str
    shape: tuple[int, ...]
    integers: tuple[int, ...] | None
    kind: int
    raw: memoryview | None


@dataclass(frozen=True)
class Node:
    """One operator. Of its attributes those that decide how large its outputs are."""

    operator: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    integers: dict[str, tuple[int, ...]] = field(default_factory=dict)
    strings: dict[str, str] = field(default_factory=dict)
    weights: tuple[Weights, ...] = ()


@dataclass(frozen=True)
class Network:
    """A model's graph. `inputs` by name with their shapes, None where a side is not a number."""

    nodes: tuple[Node, ...]
    weights: tuple[Weights, ...]
    inputs: dict[str, tuple[int, ...] | None]
    outputs: tuple[str, ...]
    named: tuple[tuple[str, tuple[int, ...] | None], ...]
    """Shapes that the file claims for what lies between."""


def read_network(data: bytes, file: str) -> Network:
    """The model in `data`. Raises BundleError, naming `file` and the reason: no model, damaged, weights in another
    file, a graph within a node, sparse weights, more of anything than a classifier can need."""
    try:
        found = list(fields(memoryview(data)))
    except MalformedError as error:
        raise BundleError(f"{file} is not an ONNX model ({error}); export it again") from error
    graphs = [value for number, value in found if number == _MODEL_GRAPH and isinstance(value, memoryview)]
    if len(graphs) != 1:
        raise BundleError(f"{file} is not an ONNX model with one graph; export it again")
    if any(number in (_MODEL_TRAINING, _MODEL_FUNCTIONS) for number, _ in found):
        raise BundleError(f"{file} defines functions or training steps, which a bundle may not hold; export it again")
    try:
        _check_versions(found, file)
        return _network(graphs[0], file)
    except MalformedError as error:
        raise BundleError(f"{file} is damaged ({error}); export it again") from error


def _check_versions(model: list[tuple[int, int | memoryview]], file: str) -> None:
    versions = [signed(value) for number, value in model if number == _MODEL_VERSION]
    domains = set()
    for number, value in model:
        if number == _MODEL_OPERATORS:
            domains.add(next((text(item) for key, item in fields(message(value)) if key == 1), ""))
    if not versions or min(versions) < 1 or "" not in domains:
        raise BundleError(f"{file} does not say which version of ONNX it is of; export it again")


def _network(graph: memoryview, file: str) -> Network:
    nodes: list[Node] = []
    weights: list[Weights] = []
    values: dict[int, list[tuple[str, tuple[int, ...] | None]]] = {
        _GRAPH_INPUT: [],
        _GRAPH_OUTPUT: [],
        _GRAPH_VALUE: [],
    }
    for number, value in fields(graph):
        if number == _GRAPH_NODE:
            nodes.append(_node(message(value), file))
        elif number == _GRAPH_INITIALIZER:
            weights.append(_tensor(message(value), file))
        elif number in values:
            values[number].append(_value(message(value)))
        elif number == _GRAPH_SPARSE:
            raise BundleError(f"{file} holds sparse weights, which a bundle may not hold; export it again")
        if len(nodes) > MOST_NODES or len(weights) > MOST_WEIGHTS:
            raise BundleError(f"{file} has more than {MOST_NODES} operators or {MOST_WEIGHTS} weights; refused")
    return Network(
        nodes=tuple(nodes),
        weights=tuple(weights),
        inputs=dict(values[_GRAPH_INPUT]),
        outputs=tuple(name for name, _ in values[_GRAPH_OUTPUT]),
        named=tuple(values[_GRAPH_INPUT] + values[_GRAPH_OUTPUT] + values[_GRAPH_VALUE]),
    )


def _node(node: memoryview, file: str) -> Node:
    operator, domain = "", ""
    inputs: list[str] = []
    outputs: list[str] = []
    attributes: list[memoryview] = []
    for number, value in fields(node):
        if number == _NODE_INPUT:
            inputs.append(text(value))
        elif number == _NODE_OUTPUT:
            outputs.append(text(value))
        elif number == _NODE_OPERATOR:
            operator = text(value)
        elif number == _NODE_DOMAIN:
            domain = text(value)
        elif number == _NODE_ATTRIBUTE:
            attributes.append(message(value))
    if max(len(inputs), len(outputs)) > MOST_INPUTS or len(attributes) > MOST_ATTRIBUTES:
        raise BundleError(f"{file}: {operator[:80]!r} has too many inputs, outputs or attributes; refused")
    made = Node(operator, domain, tuple(inputs), tuple(outputs))
    weights: list[Weights] = []
    for attribute in attributes:
        weights += _attribute(attribute, made, file)
    return Node(operator, domain, made.inputs, made.outputs, made.integers, made.strings, tuple(weights))


def _attribute(attribute: memoryview, node: Node, file: str) -> list[Weights]:
    """Put its numbers and strings into `node`; the tensors in it are returned."""
    name, integers, string, weights = "", [], None, []
    for number, value in fields(attribute):
        if number == _NAME:
            name = text(value)
        elif number in (_INTEGER, _INTEGERS):
            integers += numbers(value, most=MOST_INTEGERS)
        elif number == _STRING:
            string = str(message(value), "utf-8", "replace")
        elif number in (_TENSOR, _TENSORS):
            weights.append(_tensor(message(value), file))
        elif number in (_GRAPH, _GRAPHS):
            raise BundleError(f"{file} contains a graph within a node (a loop or branch), which a bundle may not hold")
        elif number in (_SPARSE, _SPARSES):
            raise BundleError(f"{file} holds sparse weights, which a bundle may not hold; export it again")
    if len(integers) > MOST_INTEGERS or len(weights) > 1:
        raise BundleError(f"{file}: attribute {name[:80]!r} of {node.operator[:80]!r} holds too much; refused")
    if integers:
        node.integers[name] = tuple(integers)
    if string is not None:
        node.strings[name] = string
    return weights


def _tensor(tensor: memoryview, file: str) -> Weights:
    name, kind, dims, raw = "", 0, [], None
    typed: list[tuple[int, memoryview | int]] = []
    for number, value in fields(tensor):
        if number == _EXTERNAL or (number == _LOCATION and value != 0):
            raise BundleError(
                f"{file} keeps weights in another file, which is never loaded; export with inline weights"
            )
        if number == _DIMS:
            dims += numbers(value, most=MOST_DIMENSIONS)
        elif number == _TYPE:
            kind = signed(value)
        elif number == _TENSOR_NAME:
            name = text(value)
        elif number == _RAW:
            raw = message(value)
        elif number in _TYPED_DATA:
            typed.append((number, value))
    shape = tuple(dims)
    _check_data(name, kind, shape, raw, typed, file)
    return Weights(name, shape, _integers(kind, raw, typed), kind, raw)


def _check_data(
    name: str, kind: int, shape: tuple[int, ...], raw: memoryview | None,
    typed: list[tuple[int, memoryview | int]], file: str,
) -> None:  # fmt: skip
    if kind not in _BYTES:
        raise BundleError(f"{file}: weights {name[:80]!r} are of type {kind}, which a bundle may not hold; refused")
    if len(shape) > MOST_DIMENSIONS or any(side < 0 for side in shape):
        raise BundleError(f"{file}: weights {name[:80]!r} have the shape {list(shape)[:9]}, which cannot be; refused")
    count = math.prod(shape)
    if raw is not None:
        fits, size = len(raw) == count * _BYTES[kind], len(raw)
    else:
        size = sum(1 if isinstance(value, int) else len(value) for _, value in typed)
        fits = count <= sum(1 if isinstance(value, int) else len(value) // _TYPED_DATA[key] for key, value in typed)
    if not fits:
        raise BundleError(
            f"{file}: weights {name[:80]!r} of shape {list(shape)} do not lie in {size} bytes; export it again"
        )


def _integers(kind: int, raw: memoryview | None, typed: list[tuple[int, memoryview | int]]) -> tuple[int, ...] | None:
    width = {_INT32: 4, _INT64: 8}.get(kind)
    if width is None:
        return None
    if raw is not None:
        if len(raw) > width * 2 * MOST_DIMENSIONS:
            return None
        return tuple(int.from_bytes(raw[at : at + width], "little", signed=True) for at in range(0, len(raw), width))
    if sum(1 if isinstance(value, int) else len(value) for _, value in typed) > 10 * 2 * MOST_DIMENSIONS:
        return None
    return tuple(number for _, value in typed for number in numbers(value, most=20 * MOST_DIMENSIONS))


def _value(value: memoryview) -> tuple[str, tuple[int, ...] | None]:
    """(name, shape); None where a side has a name instead of a number, or where it is no tensor."""
    name, sides, known = "", [], False
    for number, item in fields(value):
        if number == 1:
            name = text(item)
        elif number == 2:
            for shape in _inside(_inside([message(item)], 1), 2):
                known = True
                for side in _inside([shape], 1):
                    lengths = [signed(length) for key, length in fields(side) if key == 1]
                    if min(lengths, default=0) < 0:
                        raise MalformedError(f"{name[:80]!r} has a side below 0")
                    sides += lengths or [_NAMED]
    return name, tuple(sides) if known and _NAMED not in sides else None


def _inside(messages: list[memoryview], wanted: int) -> list[memoryview]:
    return [message(value) for each in messages for number, value in fields(each) if number == wanted]
