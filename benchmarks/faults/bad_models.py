"""Ten kinds of bundles that no station should keep: right hashes, a sound manifest, and a model that is bad.

Seven show it on the golden samples already, three only on bright pictures of the line: theirs is the same small network
with something beside it that comes to life there. All of it is made of operators that a bundle may use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from benchmarks.faults.plant import SITE
from runtime.bundle import Bundle, open_bundle, write_bundle_manifest
from tests.simulators.monitored_plant import certified_bundle
from tests.simulators.slow_variant import slow_model
from tests.simulators.small_bundle import model_bytes

_BRIGHT = 0.5  # shade of a network input; GOOD parts have -0.6, BRIGHT ones 1.4
BRIGHT = 220
"""Brightness of the parts on which the last three kinds fail."""
_SOUND_LAYERS, _SLOW_LAYERS = 4, 36  # 115 and 1,320 million products
_SIDE, _MULTIPLICATIONS = 3000, 400  # minutes
_HUGE_SIDE = 40_000  # 6.4 GB

Values = dict[str, float | list[int] | list[list[float]]]


def good_bundle(folder: Path) -> Bundle:
    """A sound one."""
    return certified_bundle(folder, site=SITE, model=slow_model(_SOUND_LAYERS))


def bad_bundle(folder: Path, kind: str, number: int) -> Bundle:
    """One of the `KINDS`; every number has another hash."""
    sound = certified_bundle(folder, site=SITE, model=slow_model(_SOUND_LAYERS))
    (folder / "model.onnx").write_bytes(KINDS[kind]())
    fields = sound.manifest.model_dump(mode="json", exclude={"files"})
    fields["created_at"] = f"2026-01-02T00:00:{number:02}Z"
    return open_bundle(folder, expected_hash=write_bundle_manifest(folder, fields))


def does_not_load() -> bytes:
    return b"\x08\x09\x12\x00not a model"


def wrong_shape() -> bytes:
    """Three classes where the manifest names two."""
    return _with_beside([], {"head": [[-1.3, 1.3, 0.0]] * 3, "bias": [0, 0, 0]}, classes=3)


def golden_off() -> bytes:
    """It calls good what is bad."""
    return model_bytes(-4.0, 0)


def ten_times_slower() -> bytes:
    return slow_model(_SLOW_LAYERS)


def nan() -> bytes:
    return _not_a_number(below=-100.0)


def nan_on_the_line() -> bytes:
    return _not_a_number(below=_BRIGHT)


def hangs() -> bytes:
    return _endless(_SIDE, above=-100.0)


def hangs_on_the_line() -> bytes:
    return _endless(_SIDE, above=_BRIGHT)


def out_of_memory() -> bytes:
    return _endless(_HUGE_SIDE, above=-100.0)


def crashes_on_the_line() -> bytes:
    """The least whole number divided by -1: what no register holds ends the process."""
    nodes = [
        helper.make_node("Sub", ["limit", "shade"], ["below"]),
        helper.make_node("Mul", ["below", "thousand"], ["scaled"]),
        helper.make_node("Clip", ["scaled", "minus", "thousand"], ["part"]),
        helper.make_node("Cast", ["part"], ["whole"], to=TensorProto.INT32),
        helper.make_node("Div", ["least", "whole"], ["share"]),
        helper.make_node("Cast", ["share"], ["beside"], to=TensorProto.FLOAT),
    ]
    values: Values = {"limit": _BRIGHT, "thousand": 1000.0, "minus": -1.0, "least": [-(2**31)]}
    return _with_beside(nodes, values, whole=("least",))


KINDS: dict[str, Callable[[], bytes]] = {
    "does-not-load": does_not_load,
    "wrong-shape": wrong_shape,
    "golden-samples-off": golden_off,
    "ten-times-slower": ten_times_slower,
    "nan": nan,
    "hangs": hangs,
    "out-of-memory": out_of_memory,
    "nan-on-the-line": nan_on_the_line,
    "hangs-on-the-line": hangs_on_the_line,
    "crashes-after-30-s": crashes_on_the_line,
}


def _not_a_number(*, below: float) -> bytes:
    nodes = [
        helper.make_node("Sub", ["limit", "shade"], ["difference"]),
        helper.make_node("Sqrt", ["difference"], ["beside"]),
    ]
    return _with_beside(nodes, {"limit": below})


def _endless(side: int, *, above: float) -> bytes:
    """Products of [side, side] matrices without end, where the shade is `above`; of [1, 1] elsewhere."""
    nodes = [
        helper.make_node("Sub", ["shade", "limit"], ["excess"]),
        helper.make_node("Mul", ["excess", "large"], ["scaled"]),
        helper.make_node("Clip", ["scaled", "zero", "most"], ["wanted"]),
        helper.make_node("Cast", ["wanted"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["whole", "flat"], ["more"]),
        helper.make_node("Concat", ["nothing", "more", "more"], ["pads"], axis=0),
        helper.make_node("Pad", ["shade", "pads"], ["product-0"]),
        *(
            helper.make_node("MatMul", [f"product-{n}", "product-0"], [f"product-{n + 1}"])
            for n in range(_MULTIPLICATIONS)
        ),
        helper.make_node("Flatten", [f"product-{_MULTIPLICATIONS}"], ["long"], axis=0),
        helper.make_node("ReduceMax", ["long"], ["end"], keepdims=1),
        helper.make_node("Clip", ["end", "zero", "zero"], ["beside"]),
    ]
    values: Values = {
        "limit": above,
        "large": 1e9,
        "zero": 0.0,
        "most": float(side - 1),
        "flat": [1],
        "nothing": [0, 0],
    }
    return _with_beside(nodes, values, whole=("flat", "nothing"))


def _with_beside(nodes: Sequence[NodeProto], values: Values, *, whole: Sequence[str] = (), classes: int = 2) -> bytes:
    """The small network and `nodes`, which make `beside` [1, 1] from `shade` [1, 1], the picture's mean; as good as
    nothing of it is added to the logits. `values` are further weights, whole numbers those of `whole`."""
    model = onnx.load_from_string(model_bytes(4.0, 0))
    graph = model.graph
    kept = [each for each in graph.initializer if each.name not in values]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    for name, value in {**values, "third": [[1 / 3]] * 3, "tiny": 1e-12}.items():
        kind = np.float32 if name not in whole else np.int32 if name == "least" else np.int64
        graph.initializer.append(numpy_helper.from_array(np.array(value, kind), name))
    if nodes:
        graph.node.append(helper.make_node("MatMul", ["colour", "third"], ["shade"]))
        graph.node.extend(nodes)
        graph.node.append(helper.make_node("Mul", ["beside", "tiny"], ["added"]))
        head = next(node for node in graph.node if node.output[0] == "logits")
        head.output[0] = "bare"
        graph.node.append(helper.make_node("Add", ["bare", "added"], ["logits"]))
    shape = next(item for item in graph.output if item.name == "logits").type.tensor_type.shape
    shape.dim[1].dim_value = classes
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data
