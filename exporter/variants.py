"""Which variants an export makes: every file on every runtime of this machine that takes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from contracts.bundle import Precision, Variant
from contracts.names import FilePath
from runtime.session import TARGET
from runtime.targets import Target, targets

GRAPH = "x86"
"""Of the files that are written (see `runtime.targets.Target.graph`)."""


def planned(
    files: Mapping[Precision, FilePath],
    *,
    known: Mapping[str, Target] | None = None,
    unavailable: Callable[[Target], str | None] = lambda target: target.unavailable(),
) -> tuple[Variant, ...]:
    """In a fixed order: that of `files`, and for each of them onnxruntime on the processor first, then by name.

    Earlier ones serve unless a later one is clearly faster.
    """
    here = [target for target in (known or targets()).values() if target.graph == GRAPH and not unavailable(target)]
    ordered = sorted(here, key=lambda target: (target.name != TARGET, target.name))
    return tuple(
        Variant(target=target.name, precision=precision, file=file)
        for precision, file in files.items()
        for target in ordered
        if precision in target.precisions
    )
