"""OpenVINO on the processor, from the same ONNX files.

Its default on processors with bfloat16 is to compute float models in bfloat16 without a word; here every precision is
asked for, and what the compiled model says is checked. Importing OpenVINO reports itself to its maker and leaves an
identifier in the home directory unless the package that does so cannot be imported; that import is barred first.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import queue
import sys
import threading
from functools import partial
from importlib.metadata import version
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.bundle import Precision
from contracts.errors import BundleError
from runtime.machine import device_class, flags, saturates_int8
from runtime.rank import behind
from runtime.targets import FLOAT, Model, Port, Target, brief

_HINTS: dict[Precision, str] = {"fp32": "f32", "int8": "f32", "bf16": "bf16"}
_COARSE = {"f32": {"bf16", "f16"}, "bf16": {"f16"}}
_FAILURES = (RuntimeError, ValueError, TypeError, MemoryError)


class OpenvinoCpu:
    """See `runtime.targets.Target`."""

    name = "openvino-cpu"
    graph = "x86"

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """int8 only where its products are exact: there is no mode for the others, and full-range weights saturate.
        bf16 where the processor computes in it."""
        int8: tuple[Precision, ...] = () if saturates_int8() else ("int8",)
        return (*int8, "fp32", *(("bf16",) if "avx512_bf16" in flags() else ()))

    def unavailable(self) -> str | None:
        """Whether the package is there."""
        if importlib.util.find_spec("openvino") is None:
            return "OpenVINO is not installed; install the extra: pip install lineside[openvino]"
        return None

    def device_class(self) -> str:
        """Of this processor."""
        return device_class()

    def version(self) -> str:
        """Of OpenVINO."""
        return version("openvino")

    def open(self, model: Model) -> OpenvinoRunner:
        """See `Target`."""
        if model.precision == "int8" and saturates_int8():
            raise BundleError(
                f"{model.file}: {self.name} adds int8 products in 16 bits on this processor, where they saturate; "
                "onnxruntime-cpu adds them exactly"
            )
        if model.precision not in self.precisions:
            raise BundleError(
                f"{model.file}: {self.name} does not compute in {model.precision} here; choose another variant"
            )
        return OpenvinoRunner(model, name=f"{model.file} ({self.name}/{model.precision})")


class OpenvinoRunner:
    """See `runtime.targets.Runner`. One stream, tuned for latency; nothing is cached on disk."""

    def __init__(self, model: Model, *, name: str) -> None:
        self._name, hint = name, _HINTS[model.precision]
        try:
            self._model = _compile(model.data, model.threads, hint, background=model.background)
            self._requests: queue.LifoQueue[Any] = queue.LifoQueue()
            self._requests.put(self._model.create_infer_request())
            self._running: dict[int, Any] = {}  # by thread
        except _FAILURES + _load_failures() as error:
            raise BundleError(f"{model.file} does not load in OpenVINO: {brief(error)}; export it again") from error
        if coarse := precisions_of(self._model) & _COARSE[hint]:
            raise BundleError(f"{name} would compute in {', '.join(sorted(coarse))} although {hint} was asked for")
        self.inputs = {item.any_name: _port(item) for item in self._model.inputs}
        self.outputs = {item.any_name: _port(item) for item in self._model.outputs}

    def run(self, tensor: NDArray[np.float32], limit_seconds: float | None) -> dict[str, NDArray[np.float32]]:
        """See `Runner`; the limit is checked between operators. Without one the calling thread computes, which costs
        less than handing it to OpenVINO's own. The image is copied into the request's own memory: handed over with the
        call, it goes through OpenVINO's dispatch in Python, which takes 4 % of a small network's time."""
        request = self._take()
        late = False
        self._running[threading.get_ident()] = request
        try:
            np.copyto(request.get_input_tensor().data, tensor)
            if limit_seconds is None:
                request.infer(share_outputs=True)
            else:
                request.start_async()
                late = not request.wait_for(max(1, round(1000 * limit_seconds)))
                if late:
                    request.cancel()
                request.wait()
            found = {name: request.get_tensor(name).data.copy() for name in self.outputs}
        except _FAILURES as error:
            why = f" within {limit_seconds} s" if late else ""
            raise BundleError(f"{self._name} does not answer{why}: {brief(error)}") from error
        finally:
            del self._running[threading.get_ident()]
        self._requests.put(request)
        return found

    def stop(self, thread: int) -> None:
        """See `Runner`."""
        request = self._running.get(thread)
        if request is not None:
            request.cancel()

    def _take(self) -> Any:
        """A request that nobody uses; one that failed is not used again."""
        try:
            return self._requests.get_nowait()
        except queue.Empty:
            return self._model.create_infer_request()


def load_openvino() -> ModuleType:
    """OpenVINO, imported so that nothing is sent or written: its import falls back to a stub where the telemetry
    package cannot be imported. Every part of this project imports it here."""
    if "openvino" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # Python's way to say: not installed
    return importlib.import_module("openvino")


def precisions_of(model: Any) -> set[str]:
    """What the operators of a compiled model compute in, for example `{"u8", "f32"}`."""
    operators = model.get_runtime_model().get_ordered_ops()
    return {str(operator.get_rt_info()["runtimePrecision"].value) for operator in operators}


def _compile(data: bytes, threads: int, hint: str, *, background: bool = False) -> Any:
    """In the `background` unless it starts threads that compute for the line: these would stay there."""
    openvino = load_openvino()
    frontend = openvino.frontend.FrontEndManager().load_by_framework("onnx")  # guessing would try other formats too
    model = frontend.convert(frontend.load(io.BytesIO(data)))
    options = {
        "INFERENCE_PRECISION_HINT": hint,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,  # two sessions would be bound to the same core
        "CACHE_DIR": "",
    }
    compiled = partial(openvino.Core().compile_model, model, "CPU", options)
    return behind(compiled) if background and threads == 1 else compiled()


def _load_failures() -> tuple[type[Exception], ...]:
    """What its frontends raise beside RuntimeError."""
    frontend = load_openvino().frontend
    return (
        frontend.GeneralFailure,
        frontend.InitializationFailure,
        frontend.NotImplementedFailure,
        frontend.OpConversionFailure,
        frontend.OpValidationFailure,
    )


def _port(item: Any) -> Port:
    shape = [size.get_length() if size.is_static else str(size) for size in item.partial_shape]
    kind = item.element_type.get_type_name()
    return Port(FLOAT if kind == "f32" else f"tensor({kind})", shape)


TARGET: Target = OpenvinoCpu()
