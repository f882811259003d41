"""The one place that lets torchvision (and so timm) be imported beside a torch whose operators it cannot load.

A CPU torch next to the registry's CUDA torchvision has no `torchvision::nms`; only the operators' schemas are missing
for the Python parts to work. Where the compiled operators load, nothing is done.
"""

import ctypes
import importlib.util
from functools import lru_cache
from pathlib import Path

import torch

_SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_declared: list[torch.library.Library] = []  # a Library undoes its definitions when it is collected


@lru_cache(maxsize=1)
def prepare() -> None:
    """Call before the first `import torchvision` or `import timm`. Calling again does nothing."""
    if _operators_load():
        return
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name, schema in _SCHEMAS.items():
        if not _is_known(name):
            library.define(name + schema)  # type: ignore[no-untyped-call]
    _declared.append(library)


def _operators_load() -> bool:
    """Whether torchvision is absent or its compiled operators load beside this torch (loading registers them)."""
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        return True
    for library in Path(found.origin).parent.glob("_C*.so"):
        try:
            ctypes.CDLL(str(library))
        except OSError:
            return False
    return _is_known("nms")


def _is_known(name: str) -> bool:
    return torch._C._dispatch_has_kernel(f"torchvision::{name}") or bool(
        torch._C._jit_get_schemas_for_operator(f"torchvision::{name}")
    )
