"""Examples in docstrings run."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("contracts", "runtime", "drift", "trainer", "exporter", "edge_agent", "monitor", "lineside", "benchmarks")


def modules_with_examples() -> list[str]:
    """Dotted names of all modules that hold a `>>>`."""
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    found = [file.relative_to(ROOT) for file in files if ">>> " in file.read_text(encoding="utf-8")]
    return [".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in found]


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_of_the_module_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0, "a `>>>` outside a docstring is never run"
    assert result.failed == 0
