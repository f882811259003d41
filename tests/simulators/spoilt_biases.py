"""An int8 file whose biases are wrong in the way that rounding makes them wrong, only more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx


def spoil_biases(file: Path, fraction: float = 0.2) -> None:
    """Push every bias by a share of its largest magnitude, all to one side."""
    made = onnx.load(file)
    for tensor in made.graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT32 and tensor.dims:
            values = onnx.numpy_helper.to_array(tensor).astype(np.int64)
            pushed = values + int(fraction * np.abs(values).max())
            tensor.CopyFrom(onnx.numpy_helper.from_array(pushed.astype(np.int32), tensor.name))
    onnx.save(made, file)
