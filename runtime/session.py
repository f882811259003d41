"""One variant of a bundle, loaded in its runtime: network input in, logits, probabilities and embedding out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from contracts.bundle import Precision
from contracts.errors import BundleError
from contracts.tasks import Tasks
from runtime.bundle import Bundle
from runtime.choice import first_choice
from runtime.graph import check_graph
from runtime.targets import FLOAT, Model, find

TARGET: Final = "onnxruntime-cpu"
INPUT, LOGITS, EMBEDDING = "image", "logits", "embedding"
SEVERITY, HEAT, DISTANCES = "severity", "heat", "distances"


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


def runtime_name(target: str = TARGET) -> str:
    """Target and version as telemetry names it, for example `onnxruntime-cpu 1.31.1`. Raises BundleError where the
    target is not available."""
    return f"{target} {find(target).version()}"


class Session:
    """A loaded variant. `infer` may be called from several threads at once.

    Without a `variant` it is the default one, or where that cannot run here the best one that can (`runtime.choice`).
    `engines` is the folder of a target that builds engines; in the `background` it loads while others go first.
    Raises BundleError when the variant is missing or its target not available, the file does not load, or its inputs
    and outputs are not those the manifest promises.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        variant: str | None = None,
        threads: int = 1,
        engines: Path | None = None,
        background: bool = False,
    ) -> None:
        manifest = bundle.manifest
        try:
            chosen = manifest.variant(variant) if variant is not None else first_choice(manifest).variant
        except KeyError as error:
            raise BundleError(f"bundle {bundle.hash[:12]}: {error.args[0]}") from error
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
            engines=engines,
            background=background,
        )

    @classmethod
    def of_model(
        cls,
        data: bytes,
        *,
        variant: str,
        signature: Signature,
        temperature: float = 1.0,
        threads: int = 1,
        engines: Path | None = None,
    ) -> Session:
        """A session over an ONNX model that is not in a bundle yet: what the exporter certifies. `variant` is
        `target/precision`; any other name runs in onnxruntime on the processor."""
        session = cls.__new__(cls)
        session._load(
            data,
            f"model {variant}",
            variant=variant,
            signature=signature,
            temperature=temperature,
            threads=threads,
            engines=engines,
        )
        return session

    def _load(
        self,
        data: bytes,
        file: str,
        *,
        variant: str,
        signature: Signature,
        temperature: float,
        threads: int,
        engines: Path | None,
        background: bool = False,
    ) -> None:
        self.variant = variant
        self.threads = threads
        self.signature = signature
        target, precision = _parts(variant)
        self.runtime = _runtime_name(target, variant)
        self.device_class = find(target).device_class()
        self._temperature = np.float32(temperature)
        self._shape = signature.shape
        self._file = file
        check_graph(data, file)
        self._runner = find(target).open(Model(data, file, precision, threads, engines, background))
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
        answers = self._runner.run(tensor, limit_seconds)
        found = {name: answers[name] for name in self.signature.outputs}
        if not all(map(_finite, found.values())):
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

    def stop(self, thread: int) -> None:
        """Make the `infer` of that thread (`threading.get_ident`) raise BundleError before its network's next operator,
        where the runtime can."""
        self._runner.stop(thread)

    def _check_signature(self) -> None:
        promised = {INPUT: list(self._shape), **self.signature.outputs}
        found = {**self._runner.inputs, **self._runner.outputs}
        for name, shape in promised.items():
            port = found.get(name)
            if port is None or port.type != FLOAT or port.shape != shape:
                seen = "nothing" if port is None else f"{port.type} {port.shape}"
                raise BundleError(f"{self._file}: {name} must be {FLOAT} {shape}, it is {seen}; export it again")
        if len(self._runner.inputs) != 1:
            raise BundleError(f"{self._file} asks for more inputs than {INPUT!r}; export it again")


def _finite(values: NDArray[np.float32]) -> bool:
    """A sum of squares is finite where all values are, unless they are huge; it costs a third."""
    flat = values.ravel()
    return math.isfinite(flat.dot(flat)) or bool(np.isfinite(flat).all())


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities along the last axis; they sum to 1.

    >>> softmax(np.array([0.0, 0.0], dtype=np.float32)).tolist()
    [0.5, 0.5]
    """
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: NDArray[np.float32] = (shifted / shifted.sum(axis=-1, keepdims=True)).astype(np.float32)
    return result


def _runtime_name(target: str, variant: str) -> str:
    try:
        return runtime_name(target)
    except BundleError as error:
        raise BundleError(f"{variant} does not run here: {error}") from error


def _parts(variant: str) -> tuple[str, Precision]:
    target, _, wanted = variant.rpartition("/")
    precision = next((each for each in get_args(Precision) if each == wanted), None)
    return (target, precision) if target and precision else (TARGET, "fp32")
