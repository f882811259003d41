"""Which machine a figure comes from, and which class of devices it is one of.

A class is what a certificate holds for: processors that add int8 products in the same way. `x86-vnni` adds them
exactly, `x86-avx2` may add pairs of them in 16 bits and saturate, `aarch64` and `nvidia` are their own.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy
import onnxruntime
import PIL

NVIDIA = "nvidia"
"""The class of their GPUs, whatever processor they sit beside."""

_VNNI = frozenset({"avx_vnni", "avx512_vnni"})
_TELLING_FLAGS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "asimddp", "i8mm")


def describe_machine() -> dict[str, Any]:
    """Cores, processor, instruction sets that matter for int8, memory in bytes, versions. Never a host or user name."""
    processor, known = _processor()
    return {
        "processor": processor,
        "flags": [flag for flag in _TELLING_FLAGS if flag in known],
        "cores": os.cpu_count(),
        "memory_bytes": _memory_bytes(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "numpy": numpy.__version__,
        "pillow": PIL.__version__,
    }


def flags() -> frozenset[str]:
    """Instruction sets of this processor; empty where they are not known (no `/proc/cpuinfo`)."""
    return _processor()[1]


def device_class() -> str:
    """The class of this processor: `x86-vnni`, `x86-avx2`, `aarch64`, or `other`."""
    return class_of(platform.machine(), flags())


def class_of(machine: str, instructions: Collection[str]) -> str:
    """The class of a processor with this name of its architecture and these instruction sets.

    >>> class_of("x86_64", {"avx2", "avx512_vnni"}), class_of("x86_64", {"avx2"}), class_of("arm64", set())
    ('x86-vnni', 'x86-avx2', 'aarch64')
    """
    if machine.lower() in {"aarch64", "arm64"}:
        return "aarch64"
    if _VNNI & set(instructions):
        return "x86-vnni"
    return "x86-avx2" if "avx2" in instructions else "other"


def class_described(machine: Mapping[str, Any]) -> str | None:
    """The class of what `describe_machine` once wrote; None where it does not tell."""
    system, named = machine.get("system"), machine.get("flags")
    if not isinstance(system, str) or not isinstance(named, list | tuple):
        return None
    return class_of(system.rpartition(" ")[2], [str(flag) for flag in named])


def saturates_int8() -> bool:
    """Whether this processor may add uint8 x int8 products in 16 bits and saturate: x86 that says it has no VNNI.

    False where the instruction sets are not known (no `/proc/cpuinfo`).
    """
    return device_class() == "x86-avx2"


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
