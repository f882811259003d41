"""What a file carries and nobody reads: zero points of zero, notes of the export, unused or repeated constants."""

from __future__ import annotations

import onnx
from onnx import numpy_helper

from exporter.passes.graph import View, rebuild

_QDQ = ("QuantizeLinear", "DequantizeLinear")


def shrink(model: onnx.ModelProto) -> None:
    """Requires nothing. Ensures that no two constants are equal, that every constant is read, that no constant is
    dequantised with an explicit zero point of zero, and that there are no notes of the exporter. Tensors that are
    written or read by a QuantizeLinear or DequantizeLinear alone get short names. Outputs are the same, bit by bit.
    """
    _forget_notes(model)
    _leave_out_zeros(model.graph)
    _share_constants(model.graph)
    _shorten_names(model.graph)


def drop_unread(graph: onnx.GraphProto) -> None:
    """Ensures that every constant and every DequantizeLinear is read."""
    read = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    rebuild(graph, [n for n in graph.node if n.op_type != "DequantizeLinear" or n.output[0] in read])
    read = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _forget_notes(model: onnx.ModelProto) -> None:
    """The exporter notes line by line where everything came from; shapes of inner tensors can be inferred again."""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    model.graph.doc_string = model.doc_string = ""
    for part in [*model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output]:
        part.doc_string = ""
        del part.metadata_props[:]


def _leave_out_zeros(graph: onnx.GraphProto) -> None:
    view = View(graph)
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in view.constants and len(node.input) == 3:
            zero = view.constant(node.input[2])
            if zero is not None and not zero.any():
                del node.input[2]
    drop_unread(graph)


def _share_constants(graph: onnx.GraphProto) -> None:
    first: dict[tuple[object, ...], str] = {}
    same: dict[str, str] = {}
    for tensor in graph.initializer:
        value = (tensor.data_type, *tensor.dims, numpy_helper.to_array(tensor).tobytes())
        same[tensor.name] = first.setdefault(value, tensor.name)
    for node in graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]
    drop_unread(graph)


def _shorten_names(graph: onnx.GraphProto) -> None:
    view = View(graph)
    fixed = {item.name for item in [*graph.input, *graph.output]}
    inner = [name for node in graph.node if node.op_type in _QDQ for name in [*node.input, *node.output]]
    made = (name for name in dict.fromkeys(inner) if name not in fixed and _is_inner(view, name))
    short = {name: f"_{number}" for number, name in enumerate(made)}
    for node in graph.node:
        node.input[:] = [short.get(name, name) for name in node.input]
        node.output[:] = [short.get(name, name) for name in node.output]
        if node.op_type in _QDQ:
            node.name = ""
    for tensor in graph.initializer:
        tensor.name = short.get(tensor.name, tensor.name)


def _is_inner(view: View, name: str) -> bool:
    """Whether quantising made it: a constant of these nodes, or what they write."""
    writer = view.writer.get(name)
    return name in view.constants if writer is None else writer.op_type in _QDQ
