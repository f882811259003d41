"""Scales and zero points of whole tensors as scalars, which is the only form that every runtime takes."""

from __future__ import annotations

import onnx

from exporter.qat.passes.wiring import Wiring, forget_unused


def scalar_scales(model: onnx.ModelProto) -> None:
    """Rewrite in place.

    Requires nothing. Ensures that the scale and the zero point of a computed tensor are scalars where they were of
    shape [1]: the same numbers. Those of weights and biases, one a channel, stay.
    """
    wiring = Wiring(model)
    for node in wiring.rounded():
        for each in (node, *wiring.readers(node.output[0])):
            for place, name in enumerate(each.input):
                if place and wiring.value(name).shape == (1,):
                    each.input[place] = wiring.keep(f"{name}_scalar", wiring.value(name).reshape(()))
    forget_unused(model)
