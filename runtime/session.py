"""One variant of a bundle, loaded in onnxruntime: network input in, logits, probabilities and embedding out."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from contracts.errors import BundleError
from contracts.tasks import Tasks
from runtime.bundle import Bundle
from runtime.graph import check_graph
from runtime.machine import saturates_int8

TARGET: Final = "onnxruntime-cpu"
INPUT, LOGITS, EMBEDDING = "image", "logits", "embedding"
SEVERITY, HEAT, DISTANCES = "severity", "heat", "distances"

_FAILURES = (
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


@dataclass(frozen=True)
class Signature:
    """What a model takes and gives: `image` [inputs, 3, height, width] of one image -> `logits` [1, labels],
    `embedding` [1, width], and the outputs of its `tasks` (see `contracts.tasks.Tasks`)."""

    labels: int
    height: int
    width: int
    embedding_width: int
    inputs: int = 1
    tasks: Tasks | None = None

    @property
    def outputs(self) -> dict[str, list[int]]:
        """Shape by name, in the order of the graph."""
        found = {LOGITS: [1, self.labels], EMBEDDING: [1, self.embedding_width]}
        if self.tasks is not None and self.tasks.severity is not None:
            found[SEVERITY] = [1, len(self.tasks.severity.names) - 1]
        if self.tasks is not None and self.tasks.location is not None:
            grid = [self.tasks.location.rows, self.tasks.location.columns]
            found |= {HEAT: [self.inputs, *grid], DISTANCES: [self.inputs, 4, *grid]}
        return found

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of `image`."""
        return self.inputs, 3, self.height, self.width


@dataclass(frozen=True)
class Inference:
    """Answer for one image, float32. `logits` [k] as the network gives them, `probabilities` [k] after the bundle's
    temperature (they sum to 1), `embedding` [d]; of a bundle with tasks `severity` [levels - 1], `heat`
    [n, rows, columns] and `distances` [n, 4, rows, columns], None otherwise."""

    logits: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    embedding: NDArray[np.float32]
    severity: NDArray[np.float32] | None = None
    heat: NDArray[np.float32] | None = None
    distances: NDArray[np.float32] | None = None


def runtime_name() -> str:
    """Target and version as telemetry names it, for example `onnxruntime-cpu 1.31.1`."""
    return f"{TARGET} {onnxruntime.__version__}"


class Session:
    """A loaded variant. `infer` may be called from several threads at once.

    Raises BundleError when the variant is missing, the file does not load, or its inputs and outputs are not those the
    manifest promises. onnxruntime's own log output is limited to fatal messages: what fails is raised.
    """

    def __init__(self, bundle: Bundle, *, variant: str | None = None, threads: int = 1) -> None:
        manifest = bundle.manifest
        try:
            chosen = manifest.variant(variant)
        except KeyError as error:
            raise BundleError(f"bundle {bundle.hash[:12]}: {error.args[0]}") from error
        if chosen.target != TARGET:
            raise BundleError(f"{chosen.name} does not run here: this machine runs {TARGET} variants")
        self._load(
            bundle.read(chosen.file),
            f"{chosen.file} of bundle {bundle.hash[:12]}",
            variant=chosen.name,
            signature=Signature(
                labels=len(manifest.labels),
                height=manifest.preprocessing.height,
                width=manifest.preprocessing.width,
                embedding_width=manifest.drift_reference.embedding_width,
                inputs=manifest.preprocessing.inputs,
                tasks=manifest.tasks,
            ),
            temperature=manifest.temperature,
            threads=threads,
        )

    @classmethod
    def of_model(
        cls, data: bytes, *, variant: str, signature: Signature, temperature: float = 1.0, threads: int = 1
    ) -> Session:
        """A session over an ONNX model that is not in a bundle yet: what the exporter certifies."""
        session = cls.__new__(cls)
        session._load(
            data, f"model {variant}", variant=variant, signature=signature, temperature=temperature, threads=threads
        )
        return session

    def _load(
        self, data: bytes, file: str, *, variant: str, signature: Signature, temperature: float, threads: int
    ) -> None:
        self.variant = variant
        self.threads = threads
        self.signature = signature
        self._temperature = np.float32(temperature)
        self._shape = signature.shape
        self._file = file
        self._session = _open(data, file, threads)
        self._check_signature()

    def infer(self, tensor: NDArray[np.float32], *, limit_seconds: float | None = None) -> Inference:
        """The answer for `tensor` [n, 3, H, W] float32, the n inputs of one image.

        Raises BundleError where the network fails, answers something that is not finite, or takes longer than
        `limit_seconds` (checked between its operators).
        """
        if tensor.shape != self._shape or tensor.dtype != np.float32:
            raise BundleError(
                f"{self._file} takes {list(self._shape)} float32, got {list(tensor.shape)} {tensor.dtype}"
            )
        found = self._run(tensor, limit_seconds)
        if not all(np.isfinite(values).all() for values in found.values()):
            raise BundleError(f"{self._file} ({self.variant}) answers values that are not finite")
        logits = found[LOGITS][0]
        return Inference(
            logits=logits,
            probabilities=softmax(logits / self._temperature),
            embedding=found[EMBEDDING][0],
            severity=found[SEVERITY][0] if SEVERITY in found else None,
            heat=found.get(HEAT),
            distances=found.get(DISTANCES),
        )

    def _run(self, tensor: NDArray[np.float32], limit_seconds: float | None) -> dict[str, NDArray[np.float32]]:
        options = onnxruntime.RunOptions()
        options.log_severity_level = 4
        timer = threading.Timer(limit_seconds, _terminate, [options]) if limit_seconds is not None else None
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            names = list(self.signature.outputs)
            return dict(zip(names, self._session.run(names, {INPUT: tensor}, options), strict=True))
        except _FAILURES as error:
            late = f" within {limit_seconds} s" if options.terminate else ""
            raise BundleError(f"{self._file} ({self.variant}) does not answer{late}: {_brief(error)}") from error
        finally:
            if timer is not None:
                timer.cancel()

    def _check_signature(self) -> None:
        promised = {INPUT: list(self._shape), **self.signature.outputs}
        found = {item.name: item for item in [*self._session.get_inputs(), *self._session.get_outputs()]}
        for name, shape in promised.items():
            item = found.get(name)
            if item is None or item.type != "tensor(float)" or list(item.shape) != shape:
                seen = "nothing" if item is None else f"{item.type} {item.shape}"
                raise BundleError(f"{self._file}: {name} must be tensor(float) {shape}, it is {seen}; export it again")
        if len(self._session.get_inputs()) != 1:
            raise BundleError(f"{self._file} asks for more inputs than {INPUT!r}; export it again")


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities along the last axis; they sum to 1.

    >>> softmax(np.array([0.0, 0.0], dtype=np.float32)).tolist()
    [0.5, 0.5]
    """
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: NDArray[np.float32] = (shifted / shifted.sum(axis=-1, keepdims=True)).astype(np.float32)
    return result


def _open(data: bytes, name: str, threads: int) -> onnxruntime.InferenceSession:
    check_graph(data, name)
    try:
        return onnxruntime.InferenceSession(data, _options(threads), providers=["CPUExecutionProvider"])
    except _FAILURES as error:
        raise BundleError(f"{name} does not load: {_brief(error)}; export it again") from error


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 4
    options.add_session_config_entry("session.load_model_format", "ONNX")  # never its own flatbuffer format
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the cores alone
    if saturates_int8():
        # Exact products cost time (1.9 ms -> 6.9 ms for a MobileNetV2), so only where the fast ones would be wrong.
        options.add_session_config_entry("session.x64quantprecision", "1")
    return options


def _terminate(options: onnxruntime.RunOptions) -> None:
    options.terminate = True


def _brief(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0][:200] if text else type(error).__name__
