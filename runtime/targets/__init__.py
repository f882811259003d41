"""The runtimes that can answer for a variant, one small module each, found by listing this package.

A target takes a `Model`, a file that `runtime.graph.check_graph` has let through, and hands on a runner. A new one is a
new module with a `TARGET`; nothing else names it. `runtime.session` is the door: nobody else opens a target.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from contracts.bundle import Precision
from contracts.errors import BundleError

FLOAT = "tensor(float)"
"""The type of every input and output of a bundle's models."""


@dataclass(frozen=True)
class Port:
    """One input or output of a loaded model: its type as ONNX writes it and its shape, a name where a size is open."""

    type: str
    shape: list[int | str]


@dataclass(frozen=True)
class Model:
    """A checked ONNX file and how it shall answer. `file` names it in errors, `engines` is where built engines are
    kept. In the `background` what takes long gives way to whoever else wants the processor, where the runtime lets it.
    """

    data: bytes
    file: str
    precision: Precision
    threads: int
    engines: Path | None = None
    background: bool = False


class Runner(Protocol):
    """A loaded model. `run` may be called from several threads at once."""

    @property
    def inputs(self) -> Mapping[str, Port]: ...
    @property
    def outputs(self) -> Mapping[str, Port]: ...

    def run(self, tensor: NDArray[np.float32], limit_seconds: float | None) -> dict[str, NDArray[np.float32]]:
        """All outputs by name for the only input. Raises BundleError where the model fails or takes longer."""
        ...

    def stop(self, thread: int) -> None:
        """Make the run of that thread (`threading.get_ident`) raise before its next operator, where the runtime can."""
        ...


class Target(Protocol):
    """A runtime on a kind of hardware."""

    name: str
    graph: str
    """Which int8 graph it takes: `x86` (activations uint8) or `tensorrt` (symmetric int8)."""

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """What it computes in here, as asked: never more coarsely than it says."""
        ...

    def unavailable(self) -> str | None:
        """Why it cannot run here, with the remedy; None where it can. Loads as little as it can."""
        ...

    def device_class(self) -> str:
        """The class of the device that it would run on (see `runtime.machine`)."""
        ...

    def version(self) -> str:
        """Of the runtime; only where it is available."""
        ...

    def open(self, model: Model) -> Runner:
        """Load it. Raises BundleError where it does not load, or would not compute in its precision."""
        ...


@runtime_checkable
class Builds(Protocol):
    """A target that first builds an engine on the device, which takes minutes: never while somebody waits."""

    def built(self, data: bytes, *, precision: Precision, engines: Path) -> bool:
        """Whether `open` finds an engine of this file for this device and these versions."""
        ...

    def build(
        self, data: bytes, *, precision: Precision, file: str, engines: Path, progress: Callable[[str, float], bool]
    ) -> None:
        """Build and keep the engine. `progress(phase, share)` answers whether to go on. Raises BundleError."""
        ...


@lru_cache(maxsize=1)
def targets() -> Mapping[str, Target]:
    """All that this version knows, by name."""
    found: dict[str, Target] = {}
    for module in sorted(each.name for each in pkgutil.iter_modules(__path__)):
        target: Target = importlib.import_module(f"{__name__}.{module}").TARGET
        found[target.name] = target
    return found


def why_not(name: str, precision: Precision | None = None) -> str | None:
    """Why variants of this target (in this precision) cannot run here; None where they can."""
    target = targets().get(name)
    if target is None:
        return f"this version knows no target {name!r} (it knows {', '.join(targets())}); update it"
    reason = target.unavailable()
    if reason is None and precision is not None and precision not in target.precisions:
        return f"{name} computes here in {' or '.join(target.precisions)}, not in {precision}; use another variant"
    return reason


def find(name: str) -> Target:
    """An available target. Raises BundleError with the reason where there is none."""
    reason = why_not(name)
    if reason is not None:
        raise BundleError(reason)
    return targets()[name]


_NOT_TELLING = ("Exception from ", "Check '", "FrontEnd API failed")
"""How OpenVINO's errors begin: where in its own code it was noticed."""


def brief(error: BaseException) -> str:
    """The first line that says something, at most 200 characters."""
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [line for line in lines if line and not line.startswith(_NOT_TELLING)]
    return telling[0][:200] if telling else type(error).__name__
