"""Whether a file's int8 weights have 7 bits: then every x86 processor multiplies them right, and fast.

Without VNNI, x86 adds two products of uint8 and int8 in 16 bits, which saturate where the weights are large. With
weights of -64..64 they cannot: 2 * 255 * 64 is 32,640, and 16 bits hold 32,767.
"""

from __future__ import annotations

import numpy as np

from runtime.network import Weights, read_network

LARGEST = 64
_UINT8, _INT8 = 2, 3


def narrow(data: bytes, file: str) -> bool:
    """Of a file that `runtime.graph.check_graph` has let through; False where it cannot be told."""
    network = read_network(data, file)
    inner = [weights for node in network.nodes for weights in node.weights]
    return all(_fits(weights) for weights in [*network.weights, *inner] if weights.kind in (_UINT8, _INT8))


def _fits(weights: Weights) -> bool:
    """Zero points and other numbers of a whole tensor or of its channels multiply nothing."""
    if len(weights.shape) < 2:
        return True
    if weights.raw is None or weights.kind == _UINT8:
        return False
    steps = np.frombuffer(weights.raw, np.int8).astype(np.int16)
    return bool((np.abs(steps) <= LARGEST).all())
