"""Which version of Lineside this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def software_version() -> str:
    """The installed version; `0.0.0+source` where Lineside runs from a source tree that is not installed."""
    try:
        return version("lineside")
    except PackageNotFoundError:
        return "0.0.0+source"
