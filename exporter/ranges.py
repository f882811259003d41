"""Which range of an activation's values the 256 steps of int8 cover: calibrators over the same look at the images.

A wide range clips nothing and rounds coarsely, a narrow one the other way round. `minmax` clips nothing; `percentile`
leaves out the rarest values; `mse` has the least mean square error of rounding and clipping; `entropy` keeps the most
of the distribution (Migacz, "8-bit Inference with TensorRT", GTC 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from runtime.session import INPUT

Calibrator = Literal["minmax", "percentile", "mse", "entropy"]
CALIBRATORS: tuple[Calibrator, ...] = get_args(Calibrator)
USUAL: tuple[Calibrator, ...] = ("minmax", "percentile", "mse")
"""Without `entropy`, which looks at how often values come and not at how far off they get: it clips far too much."""
Image = NDArray[np.float32]
Ranges = dict[str, tuple[float, float]]

_BINS, _LEVELS = 2048, 256
_VALUES_OF_A_TENSOR = 20_000
_IMAGES_IN_HISTOGRAM = 32
_LEFT_OUT = 1e-4
_NARROWER = tuple(np.linspace(1.0, 0.3, 29))


@dataclass(frozen=True)
class Observed:
    """An activation over all images: its ends, and how many of a sample of its values lie in each of the equal bins."""

    low: float
    high: float
    counts: NDArray[np.int64]  # [_BINS]

    @property
    def edges(self) -> NDArray[np.float64]:
        """[_BINS + 1] of the bins."""
        return np.linspace(self.low, self.high, _BINS + 1)


def observe(model: Path, images: Iterable[Image], operators: Iterable[str]) -> dict[str, Observed]:
    """What the float `model` computes on `images` [n, 3, h, w], for every input and output of the `operators`. The
    images are gone through twice."""
    graph = onnx.load(model)
    names = _activations(graph.graph, set(operators))
    ends = dict.fromkeys(names, (np.inf, -np.inf))
    for values in _run(graph, names, images):
        for name, value in values.items():
            low, high = ends[name]
            ends[name] = min(low, float(value.min())), max(high, float(value.max()))
    counts = {name: np.zeros(_BINS, np.int64) for name in names}
    for values in _run(graph, names, islice(images, _IMAGES_IN_HISTOGRAM)):
        for name, value in values.items():
            some = value.ravel()[:: max(1, value.size // _VALUES_OF_A_TENSOR)].astype(np.float64)  # bins of any width
            low, high = ends[name]
            counts[name] += np.histogram(some, _BINS, (low, high) if high > low else (low, low + 1.0))[0]
    return {name: Observed(*ends[name], counts[name]) for name in names}


def ranges(observed: Mapping[str, Observed], calibrator: Calibrator) -> Ranges:
    """Lowest and highest value that each activation's steps reach."""
    chosen: dict[Calibrator, Callable[[Observed], tuple[float, float]]] = {
        "minmax": lambda each: (each.low, each.high),
        "percentile": _percentile,
        "mse": lambda each: _narrowed(each, _square_error),
        "entropy": lambda each: _narrowed(each, _divergence),
    }
    return {name: chosen[calibrator](each) for name, each in observed.items()}


def _percentile(each: Observed) -> tuple[float, float]:
    """All but a ten-thousandth of the values, half of it at either end."""
    below = np.cumsum(each.counts) / max(1, each.counts.sum())
    low = each.edges[np.searchsorted(below, _LEFT_OUT / 2)]
    high = each.edges[min(_BINS, int(np.searchsorted(below, 1 - _LEFT_OUT / 2)) + 1)]
    return float(low), float(high)


def _narrowed(each: Observed, cost: Callable[[Observed, float, float], float]) -> tuple[float, float]:
    """The range around zero of least cost, among the whole one and equally narrowed ones."""
    candidates = [(float(share * min(each.low, 0.0)), float(share * max(each.high, 0.0))) for share in _NARROWER]
    return min(candidates, key=lambda ends: cost(each, *ends))


def _square_error(each: Observed, low: float, high: float) -> float:
    """Rounding within the range, clipping outside it."""
    middle = (each.edges[:-1] + each.edges[1:]) / 2
    clipped = np.clip(middle, low, high)
    step = (high - low) / (_LEVELS - 1)
    return float(each.counts @ (np.square(middle - clipped) + (clipped == middle) * step**2 / 12))


def _divergence(each: Observed, low: float, high: float) -> float:
    """Kullback-Leibler divergence of the distribution in the range, its ends holding what was clipped, from the one
    that 256 steps can tell."""
    middle = (each.edges[:-1] + each.edges[1:]) / 2
    inside = np.flatnonzero((middle >= low) & (middle <= high))
    if len(inside) < 2 or not each.counts[inside].sum():
        return np.inf
    kept = each.counts[inside].astype(np.float64)
    full = kept.copy()
    full[0] += each.counts[: inside[0]].sum()
    full[-1] += each.counts[inside[-1] + 1 :].sum()
    level = np.arange(len(inside)) * _LEVELS // len(inside)
    seen = (full > 0).astype(np.float64)
    told = np.bincount(level, kept)[level] / np.maximum(1.0, np.bincount(level, seen)[level]) * seen
    p, q = full / full.sum(), np.maximum(told / told.sum(), 1e-12)
    noise = (np.count_nonzero(full) - len(np.unique(level[full > 0]))) / (2 * full.sum())  # of the counts themselves
    return float(np.sum(p[p > 0] * np.log(p[p > 0] / q[p > 0])) - noise)


def _activations(graph: onnx.GraphProto, operators: set[str]) -> list[str]:
    """Float tensors that such nodes read or write and that are no constants, in order."""
    constants = {tensor.name for tensor in graph.initializer} | {""}
    found = (name for node in graph.node if node.op_type in operators for name in [*node.input, *node.output])
    return [name for name in dict.fromkeys(found) if name not in constants]


def _run(model: onnx.ModelProto, names: Sequence[str], images: Iterable[Image]) -> Iterator[dict[str, Image]]:
    """The named tensors of each image."""
    looking = onnx.ModelProto()
    looking.CopyFrom(model)
    del looking.graph.output[:]
    inner = [name for name in names if name != INPUT]
    looking.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in inner
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(looking.SerializeToString(), options, providers=["CPUExecutionProvider"])
    for image in images:
        yield dict(zip(inner, session.run(inner, {INPUT: image}), strict=True)) | {INPUT: image}
