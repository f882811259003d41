"""The upper end of a ReLU6 is cut off among the integers, where a convolution has been fused with its rounding."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import NodeProto

from exporter.qat.passes.wiring import Wiring, forget_unused


def integer_clips(model: onnx.ModelProto) -> list[str]:
    """Rewrite in place; answers the names of the float tensors that are cut off as integers now.

    Requires uint8 activations counted from zero after ReLU-like functions (see `from_zero`). Ensures, for each Clip
    from 0 to c whose range ends before the last step, a Clip of the uint8 numbers at the step that c is rounded to, in
    place of the float one: rounding keeps the order of numbers, so no output changes by a bit. A Clip behind a
    convolution of float weights stays, since there it is one operator with that.
    """
    wiring, changed = Wiring(model), []
    start = wiring.keep("uint8_start", np.array(0, np.uint8))
    for node in wiring.rounded():
        clip = wiring.before(node)
        if clip is None or clip.op_type != "Clip" or np.any(wiring.value(node.input[2])) or len(clip.input) < 3:
            continue
        if _follows_float_weights(clip, wiring):
            continue
        steps = np.rint(wiring.value(clip.input[2]) / wiring.value(node.input[1]))
        if steps >= 255 or wiring.value(clip.input[1]) != 0 or wiring.only_reader(clip.output[0]) is None:
            continue
        end = wiring.keep(f"uint8_end_{int(steps)}", np.array(steps, np.uint8))
        node.input[0] = clip.input[0]
        changed.append(clip.output[0])
        made = onnx.helper.make_node("Clip", [f"{node.output[0]}_all", start, end], [node.output[0]], name=clip.name)
        node.output[0] = made.input[0]
        model.graph.node.insert(list(model.graph.node).index(node) + 1, made)
        model.graph.node.remove(clip)
    forget_unused(model)
    return changed


def _follows_float_weights(clip: NodeProto, wiring: Wiring) -> bool:
    convolution = wiring.before(clip)
    return convolution is not None and convolution.op_type == "Conv" and convolution.input[1] in wiring.constants
