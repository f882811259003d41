"""onnxruntime on the processor: everywhere, with the least memory."""

from __future__ import annotations

import onnxruntime

from contracts.bundle import Precision
from runtime.machine import device_class, saturates_int8
from runtime.narrow import narrow
from runtime.onnx_runner import OnnxRunner, session_options
from runtime.targets import Model, Target


class OnnxruntimeCpu:
    """See `runtime.targets.Target`."""

    name = "onnxruntime-cpu"
    precisions: tuple[Precision, ...] = ("int8", "fp32")
    graph = "x86"

    def unavailable(self) -> str | None:
        """A station always has it."""
        return None

    def device_class(self) -> str:
        """Of this processor."""
        return device_class()

    def version(self) -> str:
        """Of onnxruntime."""
        found: str = onnxruntime.__version__
        return found

    def open(self, model: Model) -> OnnxRunner:
        """See `Target`; the file says what is computed in int8, and nothing else is made coarser."""
        options = session_options(model.threads)
        if saturates_int8() and not narrow(model.data, model.file):
            # Exact products cost time (1.9 ms -> 6.9 ms for a MobileNetV2), so only where the fast ones would be wrong.
            options.add_session_config_entry("session.x64quantprecision", "1")
        name = f"{self.name}/{model.precision}"
        return OnnxRunner(model.data, options, ["CPUExecutionProvider"], name=name, file=model.file)


TARGET: Target = OnnxruntimeCpu()
