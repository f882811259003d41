"""Says what this machine can do, what is missing, and how to get it."""

from __future__ import annotations

import importlib.util
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from contracts.finding import Finding, Level

EXTRAS: dict[str, tuple[str, ...]] = {
    "edge": (
        "numpy",
        "PIL",
        "onnxruntime",
        "fastapi",
        "uvicorn",
        "paho.mqtt",
        "prometheus_client",
        "tuf",
        "safetensors",
        "jinja2",
    ),
    "monitor": ("sqlalchemy", "alembic", "fsspec", "httpx", "scipy", "amqtt"),
    "train": ("torch", "timm", "sklearn", "imagehash", "cleanlab", "matplotlib"),
    "export": ("onnx", "onnxscript"),
    "video": ("cv2",),
    "genicam": ("harvesters", "genicam"),
    "openvino": ("openvino",),
    "tensorrt": ("tensorrt",),
}
_FOR = {
    "edge": "agents",
    "train": "training",
    "export": "training",
    "video": "network and USB cameras, video files",
    "genicam": "industrial cameras",
}
_NEEDED = {"Python", "SQLite", "[edge]", "[monitor]", "[train]", "[export]"}
_PROGRAMS = {
    "mosquitto": "the broker for plants; one machine does with the embedded one",
    "prometheus": "stores metrics; the monitor works without",
    "chromium": "tests of the pages and screenshots",
}


def examine(folder: Path) -> list[Finding]:
    """Everything worth knowing about this machine; `folder` is where a workspace would lie."""
    return [*_platform(), *_extras(), *_programs(), *_disk(folder)]


def _platform() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield _looked("Python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer", "everything")
    yield _looked(
        "SQLite",
        sqlite3.sqlite_version_info >= (3, 35),
        f"{sqlite3.sqlite_version}, one connection for writing",
        "use a Python built with SQLite 3.35 or newer",
        "agent and monitor",
    )
    flags = _cpu_flags()
    vnni = bool(flags & {"avx512_vnni", "avx_vnni"})
    yield _looked(
        "int8 instructions",
        vnni or "asimddp" in flags,
        "VNNI" if vnni else ("dot product" if "asimddp" in flags else "none found"),
        "int8 still works here, but may be no faster than fp32: compare both in the bundle's certificate",
        "fast int8",
    )


def _cpu_flags() -> set[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return set()
    return {word for line in text.splitlines() if line.startswith(("flags", "Features")) for word in line.split()}


def _extras() -> Iterator[Finding]:
    for extra, modules in EXTRAS.items():
        missing = [module for module in modules if not _present(module)]
        yield _looked(
            f"[{extra}]",
            not missing,
            "installed" if not missing else f"missing: {', '.join(missing)}",
            f"pip install -c constraints.txt 'lineside[{extra}]'",
            _FOR.get(extra, extra),
        )
    try:
        yield _looked("lineside", True, metadata.version("lineside"))
    except metadata.PackageNotFoundError:
        yield _looked("lineside", False, "not installed as a package", "pip install -c constraints.txt -e '.[all]'")


def _present(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _programs() -> Iterator[Finding]:
    for program, purpose in _PROGRAMS.items():
        path = shutil.which(program)
        yield _looked(program, path is not None, path or "not found", f"apt-get install {program}", purpose)


def _disk(folder: Path) -> Iterator[Finding]:
    existing = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    free_bytes = shutil.disk_usage(existing).free
    yield _looked(
        "disk", free_bytes > 2 * 1024**3, f"{free_bytes / 1024**3:.1f} GiB free at {existing}", "free at least 2 GiB"
    )


def _looked(name: str, good: bool, text: str, remedy: str = "", needed_for: str = "") -> Finding:
    """What is missing is a fault where nothing runs without it, else a warning."""
    missing = Level.FAULT if name in _NEEDED else Level.WARNING
    return Finding(name, Level.OK if good else missing, text, "" if good else remedy, needed_for)


def run_doctor(folder: Path, *, as_json: bool = False) -> bool:
    """Say everything about this machine; returns whether the demo can run here."""
    from lineside.findings import show

    return all(finding.level is not Level.FAULT for finding in show(examine(folder), as_json=as_json))
