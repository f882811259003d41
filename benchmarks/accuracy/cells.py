"""Cells of a long benchmark: each is measured once and kept under a key of its data, its configuration and the code
that made it, so that the benchmark can be run in parts and goes on where it was."""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lineside.machine import describe_commit
from runtime.durable import write_whole

ROOT = Path(__file__).parents[2]
CELLS = Path("benchmarks/results/accuracy")


def add_cells(parser: argparse.ArgumentParser) -> None:
    """What is said of the cells of a benchmark that trains."""
    parser.add_argument("--folder", type=Path, default=CELLS, help="where the cells are kept; default: %(default)s")
    parser.add_argument(
        "--recall", action="store_true", help="measure nothing: the figures of the cells that are there"
    )
    parser.add_argument("--older", action="store_true", help="take cells that other code measured, and say which")
    parser.add_argument("--threads", type=int, default=2)


@dataclass(frozen=True)
class Cell:
    """One thing to measure. `inputs` (JSON) says everything that decides the outcome besides the code, `code` is that
    code's hash; `measure` gets a folder of its own, which outlives a kill, and returns JSON."""

    name: str
    inputs: dict[str, Any]
    code: str
    measure: Callable[[Path], dict[str, Any]]


@dataclass(frozen=True)
class Kept:
    """A cell's outcome, the commit that measured it, and whether the code that makes it has changed since."""

    found: dict[str, Any]
    commit: str
    outdated: bool = False


@dataclass(frozen=True)
class Shelf:
    """The cells that `folder` holds, `NAME.json` each."""

    folder: Path

    def recall(self, cell: Cell, *, older: bool = False) -> Kept | None:
        """What was measured of exactly this cell, or None; with `older` also what other code made of the same data and
        configuration."""
        try:
            kept = json.loads(self._path(cell).read_text(encoding="utf-8"))
            same = kept["inputs"] == json.loads(json.dumps(cell.inputs))
            found = Kept(kept["found"], kept["commit"], outdated=kept["key"] != key_of(cell))
        except (OSError, ValueError, KeyError):
            return None
        return found if not found.outdated or (older and same) else None

    def measure(self, cell: Cell) -> Kept:
        """The cell's outcome, measured now where it is not known."""
        known = self.recall(cell)
        if known is not None:
            return known
        work = self.folder / "work" / key_of(cell)[:16]
        work.mkdir(parents=True, exist_ok=True)
        commit, found = describe_commit(), cell.measure(work)
        kept = {"key": key_of(cell), "commit": commit, "inputs": cell.inputs, "found": found}
        write_whole(self._path(cell), json.dumps(kept))
        shutil.rmtree(work)
        return Kept(found, commit)

    def _path(self, cell: Cell) -> Path:
        return self.folder / f"{cell.name}.json"


def key_of(cell: Cell) -> str:
    """SHA-256 of name, inputs and code."""
    text = json.dumps([cell.name, cell.inputs, cell.code], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def code_hash(entry: str, root: Path = ROOT) -> str:
    """SHA-256 over what the module `entry` and everything of this project that it imports do: comments, docstrings and
    layout do not count, nor does what is not imported."""
    found = hashlib.sha256()
    for name, path in sorted(_imported(entry, root).items()):
        found.update(f"{name}\n{meaning(path.read_text(encoding='utf-8'))}\n".encode())
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


def _imported(entry: str, root: Path) -> dict[str, Path]:
    """Modules under `root` that are reached from `entry`, by name."""
    found: dict[str, Path] = {}
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        path = _file(name, root)
        if path is None or name in found:
            continue
        found[name] = path
        waiting.extend(_named(path))
        waiting.append(name.rpartition(".")[0])  # the package runs too
    return found


def _named(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _file(name: str, root: Path) -> Path | None:
    if not name:
        return None
    place = root.joinpath(*name.split("."))
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)
