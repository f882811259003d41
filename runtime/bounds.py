"""How large a network's tensors can get, and how much it computes, from the file alone.

A hundred bytes of ONNX can double a tensor forty times or pad it to gigabytes. Here every operator's output gets an
upper bound, each side of it and the number of elements; what cannot be known without running (a shape that is
computed) has none and is left to the trial in a process of its own (`runtime.trial`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runtime.network import Network, Node, Weights

LARGEST_TENSOR = 2**27
"""Elements: half a gibibyte of float32. A network input of 2048 x 2048 pixels with 32 channels has as many."""
MOST_OPERATIONS = 2**41
"""Multiplications of one inference: minutes of one core. ResNet-50 at 224 pixels takes 2**32."""
LARGEST_INTEGER = 2**31
LARGEST_WINDOW = 8192
"""Of a pad, stride, dilation or kernel side."""

_WINDOWS = frozenset({"pads", "strides", "dilations", "kernel_shape", "output_padding", "paddings"})
_BROADCAST = frozenset({"Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Where"})
_REDUCE = frozenset({"ReduceL2", "ReduceMax", "ReduceMean", "ReduceSum", "ArgMax"})


class ExcessError(Exception):
    """More than a classifier can need; the text says of what."""


@dataclass(frozen=True)
class Bound:
    """At most. `shape` is None where the number of sides is unknown, `count` where the elements are."""

    shape: tuple[int, ...] | None
    count: int | None

    @classmethod
    def of(cls, *shape: int) -> Bound:
        return cls(shape, math.prod(shape))


UNKNOWN = Bound(None, None)


def check_bounds(network: Network) -> None:
    """Raises ExcessError, naming the operator, where a tensor, a number or the work is beyond the limits above."""
    for name, shape in network.named:
        if shape is not None and math.prod(shape) > LARGEST_TENSOR:
            raise ExcessError(f"{name[:80]!r} is said to have the shape {list(shape)[:9]}")
    bounds = {name: UNKNOWN if shape is None else Bound.of(*shape) for name, shape in network.inputs.items()}
    constants = {each.name: each for each in network.weights}
    bounds |= {each.name: Bound.of(*each.shape) for each in network.weights}
    work = 0
    for node in network.nodes:
        _check_numbers(node)
        made = _bound(node, bounds, constants)
        if made.count is not None and made.count > LARGEST_TENSOR:
            raise ExcessError(f"{node.operator} would make {made.count} elements")
        work += _work(node, made, bounds)
        if work > MOST_OPERATIONS:
            raise ExcessError(f"one answer would take more than {MOST_OPERATIONS} multiplications")
        bounds |= dict.fromkeys(node.outputs, made)
        if node.operator == "Constant" and node.outputs and node.weights:
            constants[node.outputs[0]] = node.weights[0]
    _check_claims(network, bounds)


def _check_claims(network: Network, bounds: dict[str, Bound]) -> None:
    """What the file says about a tensor's shape is not more than it can be."""
    for name, shape in network.named:
        most = bounds.get(name, UNKNOWN).shape
        if shape is None or most is None:
            continue
        if len(shape) != len(most) or any(side > limit for side, limit in zip(shape, most, strict=True)):
            raise ExcessError(f"{name[:80]!r} is said to have the shape {list(shape)[:9]}, it has {list(most)[:9]}")


def _check_numbers(node: Node) -> None:
    for name, values in node.integers.items():
        largest = LARGEST_WINDOW if name in _WINDOWS else LARGEST_INTEGER
        if max(map(abs, values)) > largest and not (node.operator == "Slice" or name.startswith("value_int")):
            raise ExcessError(f"{node.operator} has the attribute {name[:80]} {list(values)[:8]}")


def _bound(node: Node, bounds: dict[str, Bound], constants: dict[str, Weights]) -> Bound:
    if node.operator == "Constant":
        return _constant(node)
    inputs = [bounds.get(name, UNKNOWN) for name in node.inputs]
    if not inputs:
        return UNKNOWN
    if node.operator in _BROADCAST:
        return _broadcast(inputs)
    if node.operator in _REDUCE:
        return Bound(None, inputs[0].count)
    known = [constants[name].integers if name in constants else None for name in node.inputs]
    return _RULES.get(node.operator, _as_first)(node, inputs, known)


Known = Sequence[tuple[int, ...] | None]
"""Of each input its values, where it is a short list of whole numbers in the file."""


def _as_first(node: Node, inputs: list[Bound], known: Known) -> Bound:
    """Operators that never enlarge: element by element, Slice, Split, normalisations."""
    return inputs[0]


def _constant(node: Node) -> Bound:
    if node.weights:
        return Bound.of(*node.weights[0].shape)
    return Bound.of(max(map(len, node.integers.values()), default=1))


def _broadcast(inputs: list[Bound]) -> Bound:
    shapes = [each.shape for each in inputs if each.shape is not None]
    if len(shapes) < len(inputs):
        return UNKNOWN
    rank = max(map(len, shapes))
    full = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    return Bound.of(*(max(sides) for sides in zip(*full, strict=True)))


def _convolution(node: Node, inputs: list[Bound], known: Known) -> Bound:
    image, kernel = inputs[0].shape, inputs[1].shape if len(inputs) > 1 else None
    if image is None or kernel is None or len(image) < 3 or len(kernel) != len(image):
        return UNKNOWN
    sides = _windows(node, image[2:], node.integers.get("kernel_shape", kernel[2:]))
    return Bound.of(image[0], kernel[0], *sides)


def _pool(node: Node, inputs: list[Bound], known: Known) -> Bound:
    image, kernel = inputs[0].shape, node.integers.get("kernel_shape", ())
    if image is None or len(image) < 3 or len(kernel) != len(image) - 2:
        return UNKNOWN
    return Bound.of(*image[:2], *_windows(node, image[2:], kernel))


def _windows(node: Node, sides: Sequence[int], kernel: Sequence[int]) -> list[int]:
    count = len(sides)
    strides = _filled(node.integers.get("strides"), count, 1)
    dilations = _filled(node.integers.get("dilations"), count, 1)
    pads = _filled(node.integers.get("pads"), 2 * count, 0)
    kernel = _filled(tuple(kernel), count, 1)
    if node.strings.get("auto_pad", "NOTSET").startswith("SAME"):
        return [-(-side // stride) for side, stride in zip(sides, strides, strict=True)]
    return [
        max(side + pads[at] + pads[at + count] - dilations[at] * (kernel[at] - 1) - 1, 0) // strides[at] + 2
        if node.integers.get("ceil_mode") == (1,)
        else max(side + pads[at] + pads[at + count] - dilations[at] * (kernel[at] - 1) - 1, 0) // strides[at] + 1
        for at, side in enumerate(sides)
    ]


def _filled(values: tuple[int, ...] | None, count: int, default: int) -> list[int]:
    """As many as there are sides; strides of 0 are for the runtime to refuse."""
    if values is None or len(values) != count:
        return [default] * count
    return [max(value, default) for value in values] if default else list(values)


def _global_pool(node: Node, inputs: list[Bound], known: Known) -> Bound:
    image = inputs[0].shape
    return UNKNOWN if image is None or len(image) < 2 else Bound.of(*image[:2], *[1] * (len(image) - 2))


def _concat(node: Node, inputs: list[Bound], known: Known) -> Bound:
    counts = [each.count for each in inputs if each.count is not None]
    count = sum(counts) if len(counts) == len(inputs) else None
    shapes = [each.shape for each in inputs if each.shape is not None]
    axis = node.integers.get("axis", (0,))[0]
    if len(shapes) < len(inputs) or len(set(map(len, shapes))) != 1 or not -len(shapes[0]) <= axis < len(shapes[0]):
        return Bound(None, count)
    joined = [max(sides) for sides in zip(*shapes, strict=True)]
    joined[axis] = sum(shape[axis] for shape in shapes)
    return Bound.of(*joined)


def _gather(node: Node, inputs: list[Bound], known: Known) -> Bound:
    if len(inputs) < 2 or inputs[0].shape is None or inputs[1].shape is None:
        return UNKNOWN
    data, axis = inputs[0].shape, node.integers.get("axis", (0,))[0]
    axis += len(data) if axis < 0 else 0
    return Bound.of(*data[: max(axis, 0)], *inputs[1].shape, *data[max(axis, 0) + 1 :])


def _matmul(node: Node, inputs: list[Bound], known: Known) -> Bound:
    if len(inputs) < 2 or inputs[0].shape is None or inputs[1].shape is None:
        return UNKNOWN
    left, right = inputs[0].shape, inputs[1].shape
    if len(left) < 2 or len(right) < 2:
        return Bound(None, max(math.prod(left), math.prod(right)))
    batch = _broadcast([Bound.of(*left[:-2]), Bound.of(*right[:-2])]).shape or ()
    return Bound.of(*batch, left[-2], right[-1])


def _gemm(node: Node, inputs: list[Bound], known: Known) -> Bound:
    if len(inputs) < 2 or inputs[0].shape is None or inputs[1].shape is None:
        return UNKNOWN
    left, right = inputs[0].shape, inputs[1].shape
    if len(left) != 2 or len(right) != 2:
        return UNKNOWN
    rows = left[1] if node.integers.get("transA") == (1,) else left[0]
    return Bound.of(rows, right[0] if node.integers.get("transB") == (1,) else right[1])


def _flatten(node: Node, inputs: list[Bound], known: Known) -> Bound:
    if inputs[0].shape is None:
        return Bound(None, inputs[0].count)
    axis = node.integers.get("axis", (1,))[0]
    return Bound.of(math.prod(inputs[0].shape[:axis]), math.prod(inputs[0].shape[axis:]))


def _reshape(node: Node, inputs: list[Bound], known: Known) -> Bound:
    wanted, count = known[1] if len(known) > 1 else None, inputs[0].count
    if wanted is None or count is None:
        return Bound(None, count)
    source = inputs[0].shape
    sides = [side if side or source is None or at >= len(source) else source[at] for at, side in enumerate(wanted)]
    fixed = math.prod(side for side in sides if side >= 0)
    if fixed > count:
        raise ExcessError(f"Reshape wants {list(wanted)} of at most {count} elements")
    return Bound(tuple(count // max(fixed, 1) if side < 0 else side for side in sides), count)


def _transpose(node: Node, inputs: list[Bound], known: Known) -> Bound:
    shape = inputs[0].shape
    if shape is None:
        return inputs[0]
    order = node.integers.get("perm", tuple(reversed(range(len(shape)))))
    return Bound.of(*(shape[at] for at in order)) if sorted(order) == list(range(len(shape))) else UNKNOWN


def _unsqueeze(node: Node, inputs: list[Bound], known: Known) -> Bound:
    shape, axes = inputs[0].shape, _axes(node, known)
    if shape is None or axes is None or len(shape) + len(axes) > 16:
        return Bound(None, inputs[0].count)
    rank = len(shape) + len(axes)
    ones, rest = {axis % rank for axis in axes}, iter(shape)
    return Bound.of(*(1 if at in ones else next(rest, 1) for at in range(rank)))


def _squeeze(node: Node, inputs: list[Bound], known: Known) -> Bound:
    shape, axes = inputs[0].shape, _axes(node, known)
    if shape is None or axes is None or not shape:
        return Bound(None, inputs[0].count)
    gone = {axis % len(shape) for axis in axes}
    return Bound.of(*(side for at, side in enumerate(shape) if at not in gone))


def _axes(node: Node, known: Known) -> tuple[int, ...] | None:
    return node.integers.get("axes") or (known[1] if len(known) > 1 else None)


def _pad(node: Node, inputs: list[Bound], known: Known) -> Bound:
    shape, pads = inputs[0].shape, node.integers.get("pads") or (known[1] if len(known) > 1 else None)
    if shape is None or pads is None or len(pads) != 2 * len(shape):
        return UNKNOWN
    return Bound.of(*(max(side + pads[at] + pads[at + len(shape)], 0) for at, side in enumerate(shape)))


def _shape(node: Node, inputs: list[Bound], known: Known) -> Bound:
    return Bound.of(8 if inputs[0].shape is None else len(inputs[0].shape))


def _work(node: Node, made: Bound, bounds: dict[str, Bound]) -> int:
    """Multiplications, 0 where unknown."""
    if made.count is None:
        return 0
    if node.operator == "Conv":
        kernel = bounds.get(node.inputs[1], UNKNOWN).shape or (1,)
        return made.count * math.prod(kernel[1:])
    if node.operator in ("MatMul", "Gemm"):
        inner = (bounds.get(node.inputs[0], UNKNOWN).count or 1) // max((made.shape or (1,))[0], 1)
        return made.count * max(inner, 1) if node.operator == "Gemm" else made.count * _inner(node, bounds)
    return made.count * math.prod(node.integers.get("kernel_shape", (1,)))


def _inner(node: Node, bounds: dict[str, Bound]) -> int:
    shape = bounds.get(node.inputs[0], UNKNOWN).shape
    return shape[-1] if shape else 1


_RULES: dict[str, Callable[[Node, list[Bound], Known], Bound]] = {
    "AveragePool": _pool,
    "Concat": _concat,
    "Conv": _convolution,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "MatMul": _matmul,
    "MaxPool": _pool,
    "Pad": _pad,
    "Reshape": _reshape,
    "Shape": _shape,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
