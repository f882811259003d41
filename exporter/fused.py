"""What onnxruntime makes of a model file: which convolutions run in int8 and which in float, and what those cost.

A quantised convolution runs in int8 only where onnxruntime can fuse it with the QuantizeLinear and DequantizeLinear
around it; otherwise it silently computes in float. So the graph is read that onnxruntime itself writes after its
optimisation.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

_INT8 = frozenset({"QLinearConv"})
_FLOAT = frozenset({"Conv", "FusedConv", "NhwcFusedConv"})


@dataclass(frozen=True)
class Convolution:
    """One convolution of the optimised graph. `share` of the multiplications of all of them, 0..1."""

    name: str
    operator: str
    share: float

    @property
    def int8(self) -> bool:
        """Whether it multiplies 8-bit integers."""
        return self.operator in _INT8


@dataclass(frozen=True)
class Fused:
    """What runs: every convolution in order, and how many nodes of which operator there are."""

    convolutions: tuple[Convolution, ...]
    operators: dict[str, int]

    @property
    def int8(self) -> tuple[Convolution, ...]:
        """Those in int8."""
        return tuple(each for each in self.convolutions if each.int8)

    @property
    def floating(self) -> tuple[Convolution, ...]:
        """Those that stayed float, the costliest first."""
        kept = [each for each in self.convolutions if not each.int8]
        return tuple(sorted(kept, key=lambda each: -each.share))

    @property
    def float_share(self) -> float:
        """Share of the multiplications that stayed float, 0..1."""
        return math.fsum(each.share for each in self.floating)

    def told(self) -> str:
        """One line for people, with the costliest float convolutions.

        >>> Fused((Convolution("stem", "FusedConv", 0.1), Convolution("a", "QLinearConv", 0.9)), {}).told()
        '1 of 2 convolutions in int8; in float: stem (10.0 % of the multiplications)'
        """
        start = f"{len(self.int8)} of {len(self.convolutions)} convolutions in int8"
        if not self.floating:
            return start
        named = [f"{each.name} ({100 * each.share:.1f} % of the multiplications)" for each in self.floating[:5]]
        more = f" and {len(self.floating) - 5} more" if len(self.floating) > 5 else ""
        return f"{start}; in float: {', '.join(named)}{more}"


def fused(model: Path) -> Fused:
    """Read what onnxruntime's CPU provider runs for the file `model` [1, ...] on this machine; runs it once."""
    with tempfile.TemporaryDirectory(prefix="lineside-fused-") as folder:
        graph, shapes = _run(model, Path(folder))
    weights = {tensor.name: tensor.dims for tensor in graph.initializer}
    cost = {
        node.name: math.prod(shapes[node.name]) * math.prod(weights[node.input[3 if node.op_type in _INT8 else 1]][1:])
        for node in graph.node
        if node.op_type in _INT8 | _FLOAT
    }  # every value of the output takes one for each weight [m, c, kh, kw] of its channel m, whatever the layout
    total = max(1, sum(cost.values()))
    return Fused(
        tuple(Convolution(n.name, n.op_type, cost[n.name] / total) for n in graph.node if n.name in cost),
        dict(Counter(node.op_type for node in graph.node)),
    )


def _run(model: Path, folder: Path) -> tuple[onnx.GraphProto, dict[str, list[int]]]:
    """The optimised graph, and by node name the shape of its first output."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    session.run(None, {item.name: np.zeros(item.shape, np.float32) for item in session.get_inputs()})
    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    ended = "_kernel_time"
    kernels = {each["name"].removesuffix(ended): each["args"] for each in events if each["name"].endswith(ended)}
    shapes = {name: next(iter(args["output_type_shape"][0].values())) for name, args in kernels.items()}
    return onnx.load(folder / "optimised.onnx").graph, shapes
