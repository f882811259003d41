"""A model in onnxruntime, whichever execution provider computes it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from contracts.errors import BundleError
from runtime.targets import Port, brief

Providers = Sequence[str | tuple[str, dict[str, str]]]

FAILURES = (
    failures.EPFail,
    failures.EngineError,
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.ModelLoaded,
    failures.NoModel,
    failures.NoSuchFile,
    failures.NotImplemented,
    failures.RuntimeException,
    RuntimeError,
    ValueError,
    MemoryError,
)


class OnnxRunner:
    """See `runtime.targets.Runner`. Raises BundleError when the file does not load."""

    def __init__(
        self, data: bytes, options: onnxruntime.SessionOptions, providers: Providers, *, name: str, file: str
    ) -> None:
        self._name = f"{file} ({name})"
        try:
            self._session = onnxruntime.InferenceSession(data, options, providers=list(providers))
        except FAILURES as error:
            raise BundleError(f"{file} does not load: {brief(error)}; export it again") from error
        self._session.disable_fallback()
        self._running: dict[int, onnxruntime.RunOptions] = {}  # by thread
        self.inputs = {item.name: _port(item) for item in self._session.get_inputs()}
        self.outputs = {item.name: _port(item) for item in self._session.get_outputs()}

    @property
    def providers(self) -> list[str]:
        """Those that took part of the graph, the first choice first."""
        found: list[str] = self._session.get_providers()
        return found

    def run(self, tensor: NDArray[np.float32], limit_seconds: float | None) -> dict[str, NDArray[np.float32]]:
        """See `Runner`; the limit is checked between operators."""
        options = onnxruntime.RunOptions()
        options.log_severity_level = 4
        self._running[threading.get_ident()] = options
        timer = threading.Timer(limit_seconds, _terminate, [options]) if limit_seconds is not None else None
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            names = list(self.outputs)
            return dict(zip(names, self._session.run(names, {next(iter(self.inputs)): tensor}, options), strict=True))
        except FAILURES as error:
            limit = "in time" if limit_seconds is None else f"within {limit_seconds} s"
            late = f" {limit}" if options.terminate else ""
            raise BundleError(f"{self._name} does not answer{late}: {brief(error)}") from error
        finally:
            del self._running[threading.get_ident()]
            if timer is not None:
                timer.cancel()

    def stop(self, thread: int) -> None:
        """See `Runner`."""
        options = self._running.get(thread)
        if options is not None:
            options.terminate = True


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """Of every session. onnxruntime's own log output is limited to fatal messages: what fails is raised."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 4
    options.add_session_config_entry("session.load_model_format", "ONNX")  # never its own flatbuffer format
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the cores alone
    return options


def _terminate(options: onnxruntime.RunOptions) -> None:
    options.terminate = True


def _port(item: Any) -> Port:
    return Port(item.type, list(item.shape))
