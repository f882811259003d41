"""Cells of a long benchmark: each is measured once and kept under a key of its data, its configuration and the code
that made it, so that the benchmark can be run in parts and goes on where it was."""

from __future__ import annotations

import ast
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_CODE = ("contracts", "runtime", "trainer", "exporter", "benchmarks/accuracy")
_ASIDE = ("trainer/quality", "trainer/evaluation", "benchmarks/accuracy/__main__.py")
"""Reports on images and on models change no model; the figures are made anew from the cells each time."""


@dataclass(frozen=True)
class Cell:
    """One thing to measure. `inputs` (JSON) says everything that decides the outcome besides the code; `measure` gets a
    folder of its own, which outlives a kill, and returns JSON."""

    name: str
    inputs: dict[str, Any]
    measure: Callable[[Path], dict[str, Any]]


@dataclass(frozen=True)
class Shelf:
    """The cells that `folder` holds, `NAME.json` each, made by the code whose hash is `code`."""

    folder: Path
    code: str

    def recall(self, cell: Cell) -> dict[str, Any] | None:
        """What was measured of exactly this cell, or None."""
        try:
            kept: dict[str, Any] = json.loads(self._path(cell).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return kept["found"] if kept.get("key") == self.key(cell) else None

    def measure(self, cell: Cell) -> dict[str, Any]:
        """The cell's outcome, measured now where it is not known."""
        known = self.recall(cell)
        if known is not None:
            return known
        work = self.folder / "work" / self.key(cell)[:16]
        work.mkdir(parents=True, exist_ok=True)
        found = cell.measure(work)
        path = self._path(cell)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(path.name + ".unfinished")
        unfinished.write_text(json.dumps({"key": self.key(cell), "inputs": cell.inputs, "found": found}), "utf-8")
        os.replace(unfinished, path)
        return found

    def key(self, cell: Cell) -> str:
        """SHA-256 of name, inputs and code."""
        text = json.dumps([cell.name, cell.inputs, self.code], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _path(self, cell: Cell) -> Path:
        return self.folder / f"{cell.name}.json"


def code_hash(root: Path = _ROOT) -> str:
    """SHA-256 over what the code that makes models does: comments, docstrings and layout do not count."""
    found = hashlib.sha256()
    for path in _modules(root):
        found.update(f"{path.relative_to(root)}\n{meaning(path.read_text(encoding='utf-8'))}\n".encode())
    return found.hexdigest()


def meaning(source: str) -> str:
    """The syntax tree of a module without its docstrings, as text.

    >>> meaning("x = 1  # one") == meaning("'''Numbers.'''\\nx = 1")
    True
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:]
    return ast.dump(tree)


def _modules(root: Path) -> Iterator[Path]:
    for folder in _CODE:
        for path in sorted((root / folder).rglob("*.py")):
            if not str(path.relative_to(root)).startswith(_ASIDE):
                yield path
