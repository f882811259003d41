"""What a model file may contain, checked on its bytes before onnxruntime sees them.

A few hundred bytes of ONNX can make a runtime allocate gigabytes, loop for ever or read other files. A bundle is
signed, but whoever made it may have been tricked, so only plain feed-forward operators with inline weights are let
through, in order, each name made once, and no tensor larger than `runtime.bounds` allows. What no reading can tell is
tried in a process of its own (`runtime.trial`).
"""

from __future__ import annotations

from contracts.errors import BundleError
from runtime.bounds import ExcessError, check_bounds
from runtime.network import Network, read_network

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


def check_graph(data: bytes, name: str) -> None:
    """Raise BundleError, naming file and reason, unless the ONNX model in `data` is plain: see the module."""
    network = read_network(data, name)
    _check_operators(network, name)
    _check_names(network, name)
    try:
        check_bounds(network)
    except ExcessError as error:
        raise BundleError(f"{name}: {error}, more than a bundle's model may ask for; refused") from error


def _check_operators(network: Network, name: str) -> None:
    for node in network.nodes:
        if node.operator not in OPERATORS or node.domain not in DOMAINS:
            shown = f"{node.domain}::{node.operator}" if node.domain else node.operator
            raise BundleError(f"{name} uses the operator {shown[:80]!r}, which is not among those a bundle may use")


def _check_names(network: Network, name: str) -> None:
    """What a node reads was made before it, and nothing is made twice: no cycle, no doubt about what is meant."""
    weights = [each.name for each in network.weights]
    if len(set(weights)) < len(weights):
        raise BundleError(f"{name} has two weights of one name; export it again")
    made = {*network.inputs, *weights}
    for node in network.nodes:
        for read in node.inputs:
            if read and read not in made:
                raise BundleError(
                    f"{name}: {node.operator} reads {read[:80]!r} before anything makes it; export it again"
                )
        for written in node.outputs:
            if written and written in made:
                raise BundleError(f"{name}: {written[:80]!r} is made twice; export it again")
            made.add(written)
    if missing := set(network.outputs) - made:
        raise BundleError(f"{name}: nothing makes its output {min(missing)[:80]!r}; export it again")
