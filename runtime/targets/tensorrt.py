"""TensorRT: an engine built on the device from the certified Q/DQ graph. A build takes minutes, so it is never made
where somebody waits: `open` takes what `build` has kept.

Written against TensorRT's Python API (10 and 11: strongly typed networks, tensors by name).
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import threading
from collections.abc import Callable
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.bundle import Precision
from contracts.errors import BundleError
from runtime.cuda import Buffer, CudaError, Stream, driver
from runtime.engine_store import Device, EngineKey, EngineStore
from runtime.machine import NVIDIA
from runtime.targets import FLOAT, Model, Port, Target, brief

_WORKSPACE_BYTES = 1024**3  # that a tactic may use while it is tried and while it runs
_FAILURES = (CudaError, RuntimeError, TypeError, ValueError, MemoryError)


class Tensorrt:
    """See `runtime.targets.Target` and `Builds`. Types are those of the file: int8 where it has Q/DQ, and float32 that
    is float32, without TensorFloat-32."""

    name = "tensorrt"
    precisions: tuple[Precision, ...] = ("int8", "fp32")
    graph = "tensorrt"

    def unavailable(self) -> str | None:
        """Whether TensorRT, its builder and a device are there."""
        if importlib.util.find_spec("tensorrt") is None:
            return "TensorRT is not installed; install NVIDIA's package tensorrt (on a Jetson: JetPack's)"
        return _reason()

    def device_class(self) -> str:
        """Whatever processor it sits beside."""
        return NVIDIA

    def version(self) -> str:
        """Of TensorRT."""
        return str(_tensorrt().__version__)

    def built(self, data: bytes, *, precision: Precision, engines: Path) -> bool:
        """See `Builds`."""
        return EngineStore(engines).has(_key(data, precision))

    def open(self, model: Model) -> TensorrtRunner:
        """See `Target`. Raises BundleError where no engine has been built."""
        store = None if model.engines is None else EngineStore(model.engines)
        engine = store.engine(_key(model.data, model.precision)) if store is not None else None
        if engine is None:
            raise BundleError(
                f"{model.file} has no TensorRT engine on this device yet; the agent builds it in the background"
            )
        return TensorrtRunner(engine, name=f"{model.file} ({self.name}/{model.precision})")

    def build(
        self, data: bytes, *, precision: Precision, file: str, engines: Path, progress: Callable[[str, float], bool]
    ) -> None:
        """See `Builds`."""
        key, store = _key(data, precision), EngineStore(engines)
        try:
            engine, timings = _build(data, store.timings(key.device), progress)
        except _FAILURES as error:
            raise BundleError(f"TensorRT cannot build {file}: {brief(error)}") from error
        store.keep(key, engine)
        store.keep_timings(key.device, timings)


class TensorrtRunner:
    """See `runtime.targets.Runner`. One image at a time: an execution context belongs to one call."""

    def __init__(self, engine: bytes, *, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        try:
            self._driver = driver()
            self._driver.enter()
            trt = _tensorrt()
            self._log = _logger(trt)
            self._runtime = trt.Runtime(self._log)
            self._engine = self._runtime.deserialize_cuda_engine(engine)
            if self._engine is None:
                raise BundleError(f"{name}: TensorRT refuses its own engine: {self._log.last}; delete it to build anew")
            self._context = self._engine.create_execution_context()
            self.inputs, self.outputs = _ports(trt, self._engine)
            self._stream = Stream(self._driver)
            self._buffers = {
                port_name: Buffer(self._driver, 4 * prod(int(size) for size in port.shape))
                for port_name, port in {**self.inputs, **self.outputs}.items()
            }
            for port_name, buffer in self._buffers.items():
                self._context.set_tensor_address(port_name, buffer.address.value)
        except _FAILURES as error:
            raise BundleError(f"{name} does not load in TensorRT: {brief(error)}") from error

    def run(self, tensor: NDArray[np.float32], limit_seconds: float | None) -> dict[str, NDArray[np.float32]]:
        """See `Runner`. What runs on the device cannot be stopped; a call that is late leaves it to end by itself, and
        the next one waits for it within its own limit."""
        found = {name: np.empty([int(size) for size in port.shape], np.float32) for name, port in self.outputs.items()}
        image = np.ascontiguousarray(tensor)
        with self._lock:
            try:
                self._driver.enter()
                in_time = self._stream.finished(limit_seconds) and self._compute(image, found, limit_seconds)
            except _FAILURES as error:
                raise BundleError(f"{self._name} does not answer: {brief(error)}") from error
        if not in_time:
            raise BundleError(f"{self._name} does not answer within {limit_seconds} s")
        return found

    def stop(self, thread: int) -> None:
        """See `Runner`: it cannot."""

    def _compute(
        self, image: NDArray[np.float32], found: dict[str, NDArray[np.float32]], limit_seconds: float | None
    ) -> bool:
        handle = self._stream.handle
        self._buffers[next(iter(self.inputs))].fill(image.ctypes.data, handle)
        if not self._context.execute_async_v3(handle.value or 0):
            raise CudaError(self._log.last or "the execution was refused")
        if not self._stream.finished(limit_seconds):
            return False
        for name, values in found.items():
            self._buffers[name].read(values.ctypes.data, handle)
        return self._stream.finished(None)


def _build(data: bytes, timings: bytes, progress: Callable[[str, float], bool]) -> tuple[bytes, bytes]:
    """(engine, timing cache)."""
    trt = _tensorrt()
    driver().enter()
    log = _logger(trt)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(data):
        raise RuntimeError("; ".join(str(parser.get_error(each).desc()) for each in range(parser.num_errors)))
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, _WORKSPACE_BYTES)
    config.clear_flag(trt.BuilderFlag.TF32)
    cache = config.create_timing_cache(timings)
    config.set_timing_cache(cache, ignore_mismatch=False)
    monitor = _monitor(trt, progress)
    config.progress_monitor = monitor
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise RuntimeError(log.last or "the build was stopped")
    return bytes(engine), bytes(config.get_timing_cache().serialize())


def _monitor(trt: Any, progress: Callable[[str, float], bool]) -> Any:
    """TensorRT's view of `progress`. It is called from several threads."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self.steps[phase_name] = max(1, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return progress(phase_name, (step + 1) / self.steps.get(phase_name, step + 1))

        def phase_finish(self, phase_name: str) -> None:
            self.steps.pop(phase_name, None)

    return Monitor()


def _logger(trt: Any) -> Any:
    """Keeps the last error instead of printing it."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.last = ""

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.last = msg

    return Log()


def _ports(trt: Any, engine: Any) -> tuple[dict[str, Port], dict[str, Port]]:
    inputs: dict[str, Port] = {}
    outputs: dict[str, Port] = {}
    for number in range(engine.num_io_tensors):
        name = engine.get_tensor_name(number)
        kind = engine.get_tensor_dtype(name)
        port = Port(
            FLOAT if kind == trt.float32 else f"tensor({kind})", [int(s) for s in engine.get_tensor_shape(name)]
        )
        (inputs if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT else outputs)[name] = port
    return inputs, outputs


def _key(data: bytes, precision: Precision) -> EngineKey:
    return EngineKey(_device(), hashlib.sha256(data).hexdigest(), precision)


@lru_cache(maxsize=1)
def _device() -> Device:
    found = driver()
    return Device(found.gpu, found.compute_capability, found.version, f"TensorRT {_tensorrt().__version__}")


def _tensorrt() -> Any:
    return importlib.import_module("tensorrt")


@lru_cache(maxsize=1)
def _reason() -> str | None:
    try:
        trt = _tensorrt()
    except (ImportError, OSError) as error:
        return f"TensorRT does not load ({brief(error)}); install NVIDIA's package tensorrt with its libraries"
    if not hasattr(trt, "Builder"):
        return "TensorRT here has no builder; install NVIDIA's package tensorrt instead of tensorrt-lean"
    try:
        driver()
    except CudaError as error:
        return f"no NVIDIA device: {error}"
    return None


TARGET: Target = Tensorrt()
