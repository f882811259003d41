"""The upper end of a ReLU6 becomes the last step of its scale, so that nothing has to be cut off."""

from __future__ import annotations

import numpy as np
import onnx

from exporter.qat.passes.wiring import Wiring, forget_unused

_STEPS = 255


def folded_clips(model: onnx.ModelProto) -> list[str]:
    """Rewrite in place; answers the names of the float tensors whose scale is finer now.

    Requires uint8 activations counted from zero after ReLU-like functions (see `from_zero`). Ensures, for each Clip
    from 0 to c whose range ends before the last step, the scale c / 255: the quantisation alone cuts off at c, and
    `absorbed_cuts` can take the Clip out. A value changes by at most half an old and half a new step, and one that was
    cut off at 127 old steps by up to c minus those.
    """
    wiring, changed = Wiring(model), []
    for node in wiring.rounded():
        clip = wiring.before(node)
        if clip is None or clip.op_type != "Clip" or np.any(wiring.value(node.input[2])) or len(clip.input) < 3:
            continue
        end = float(wiring.value(clip.input[2]))
        if end >= float(wiring.value(node.input[1])) * _STEPS:
            continue
        name = wiring.keep(f"{node.name}_scale_to_{end:g}", np.array(end / _STEPS, np.float32))
        changed.append(node.input[0])
        for each in (node, *wiring.readers(node.output[0])):
            each.input[1] = name
    forget_unused(model)
    return changed
