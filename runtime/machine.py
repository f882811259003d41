"""Which machine a figure comes from."""

from __future__ import annotations

import os
import platform
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy
import onnxruntime
import PIL

_TELLING_FLAGS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "asimddp", "i8mm")


def describe_machine() -> dict[str, Any]:
    """Cores, processor, instruction sets that matter for int8, memory in bytes, versions. Never a host or user name."""
    processor, flags = _processor()
    return {
        "processor": processor,
        "flags": [flag for flag in _TELLING_FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "memory_bytes": _memory_bytes(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "numpy": numpy.__version__,
        "pillow": PIL.__version__,
    }


def saturates_int8() -> bool:
    """Whether this processor may add uint8 x int8 products in 16 bits and saturate: x86 that says it has no VNNI.

    False where the instruction sets are not known (no `/proc/cpuinfo`).
    """
    _, flags = _processor()
    return "avx2" in flags and not flags & {"avx_vnni", "avx512_vnni"}


@lru_cache(maxsize=1)
def _processor(source: Path = Path("/proc/cpuinfo")) -> tuple[str, frozenset[str]]:
    if not source.is_file():
        return platform.processor() or platform.machine(), frozenset()
    rows: dict[str, str] = {}
    for line in source.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        rows.setdefault(key.strip(), value.strip())
    words = rows.get("flags", rows.get("Features", "")).split()
    return rows.get("model name", platform.machine()), frozenset(words)


def _memory_bytes() -> int | None:
    names = os.sysconf_names if hasattr(os, "sysconf_names") else {}
    if "SC_PHYS_PAGES" not in names or "SC_PAGE_SIZE" not in names:
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
