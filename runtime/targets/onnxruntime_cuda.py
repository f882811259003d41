"""onnxruntime on an NVIDIA GPU. The graph runs there as a whole or not at all, never partly on the processor."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from contracts.bundle import Precision
from contracts.errors import BundleError
from runtime.machine import NVIDIA
from runtime.onnx_runner import OnnxRunner, session_options
from runtime.targets import Model, Target

_PROVIDER = "CUDAExecutionProvider"


class OnnxruntimeCuda:
    """See `runtime.targets.Target`. No int8: on this hardware that is for TensorRT."""

    name = "onnxruntime-cuda"
    precisions: tuple[Precision, ...] = ("fp32",)
    graph = "x86"

    def unavailable(self) -> str | None:
        """Whether this build of onnxruntime has CUDA and finds a device."""
        if _PROVIDER not in onnxruntime.get_available_providers():
            return (
                f"onnxruntime {onnxruntime.__version__} here is built without CUDA; "
                "install onnxruntime-gpu in place of onnxruntime"
            )
        if not Path("/dev/nvidiactl").exists() and not Path("/dev/nvgpu").exists():
            return "there is no NVIDIA device (/dev/nvidiactl); install its driver, or give it to the container"
        return None

    def device_class(self) -> str:
        """Whatever processor it sits beside."""
        return NVIDIA

    def version(self) -> str:
        """Of onnxruntime."""
        found: str = onnxruntime.__version__
        return found

    def open(self, model: Model) -> OnnxRunner:
        """See `Target`. fp32 is fp32: TensorFloat-32, onnxruntime's default there, is off."""
        options = session_options(model.threads)
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        name, providers = f"{self.name}/{model.precision}", [(_PROVIDER, {"use_tf32": "0"})]
        runner = OnnxRunner(model.data, options, providers, name=name, file=model.file)
        if runner.providers[0] != _PROVIDER:
            raise BundleError(
                f"{model.file} runs on {runner.providers[0]} instead of {_PROVIDER}; check driver and CUDA"
            )
        return runner


TARGET: Target = OnnxruntimeCuda()
