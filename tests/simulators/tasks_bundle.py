"""The small bundle with a model that also answers severity and location: the brighter the picture the worse, and the
defect lies where it is brightest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from contracts.tasks import LocationGrid, SeverityScale, Tasks
from runtime.bundle import Bundle
from tests.simulators.small_bundle import model_bytes, picture, write_small_bundle

GRID = 4
TASKS = Tasks(
    severity=SeverityScale(column="area", names=("none", "up to 20", "above 20"), bounds=(20.0,)),
    location=LocationGrid(rows=GRID, columns=GRID),
)


def spotted(left: int, top: int, side: int = 48) -> NDArray[np.uint8]:
    """A bright picture whose brightest quarter of a side begins at `left`, `top`."""
    pixels = picture(170, side=side)
    pixels[top : top + side // 4, left : left + side // 4] = 255
    return pixels


def write_tasks_bundle(folder: Path) -> Bundle:
    """Write one under `folder`."""
    return write_small_bundle(folder, model=tasks_model(), tasks=TASKS)


def tasks_model() -> bytes:
    """The small model and three more outputs."""
    model = onnx.load_from_string(model_bytes(4.0, 0))
    graph = model.graph
    steps = np.array([[1.0, 1.0]] * 3, np.float32)
    values = {"steps": steps, "starts": np.array([0.0, -4.0], np.float32)}
    values["halves"] = np.full((1, 4, GRID, GRID), 0.5, np.float32)
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in values.items())
    graph.node.extend(
        [
            helper.make_node("Gemm", ["colour", "steps", "starts"], ["severity"]),
            helper.make_node("AveragePool", ["image"], ["cells"], kernel_shape=[8, 8], strides=[8, 8]),
            helper.make_node("ReduceMean", ["cells"], ["heat"], axes=[1], keepdims=0),
            helper.make_node("Identity", ["halves"], ["distances"]),
        ]
    )
    shapes = {"severity": [1, 2], "heat": [1, GRID, GRID], "distances": [1, 4, GRID, GRID]}
    graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items())
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data
