"""Where a figure comes from: the machine with every version that matters, and the commit of the code."""

from __future__ import annotations

import sqlite3
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from runtime.machine import describe_machine as describe_runtime

_TELLING_DISTRIBUTIONS = (
    "lineside",
    "torch",
    "timm",
    "onnx",
    "onnxscript",
    "scikit-learn",
    "paho-mqtt",
    "amqtt",
    "tuf",
)
_WRITTEN = (":!benchmarks/results", ":!benchmarks/reports")
_CHECKOUT = Path(__file__).resolve().parent.parent


def describe_machine() -> dict[str, Any]:
    """What `runtime.machine` says about processor, memory and runtime, with the versions of the other parts.

    Versions come from the installed distributions' metadata, so nothing heavy is imported; absent ones are left out.
    """
    return describe_runtime() | {"sqlite": sqlite3.sqlite_version} | _versions()


def _versions() -> dict[str, str]:
    found = {}
    for name in _TELLING_DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def describe_commit(checkout: Path = _CHECKOUT) -> str:
    """The checkout's commit, with `-changed` when tracked files differ from it, those aside that benchmarks write;
    the version where there is no git."""
    try:
        commit = _git(checkout, "rev-parse", "HEAD")
        changed = _git(checkout, "status", "--porcelain", "--untracked-files=no", "--", ".", *_WRITTEN)
    except (OSError, subprocess.CalledProcessError):
        return f"version {_versions().get('lineside', 'unknown')}"
    return commit + ("-changed" if changed else "")


def _git(checkout: Path, *arguments: str) -> str:
    command = ["git", "-C", str(checkout), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
