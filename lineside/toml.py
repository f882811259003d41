"""Writes the few TOML files that Lineside makes for its own services (the standard library only reads them)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_toml(path: Path, values: Mapping[str, Any], *, comment: str = "") -> Path:
    """Write `values` (strings, numbers, booleans, paths, lists, tables, lists of tables) readable by the owner only."""
    head = "".join(f"# {line}\n" for line in comment.splitlines())
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(head + toml_text(values))
    return path


def toml_text(values: Mapping[str, Any], prefix: str = "") -> str:
    """`values` as TOML; keys whose value is None are left out.

    >>> print(toml_text({"name": "a", "web": {"port": 1}, "users": [{"name": "b"}]}), end="")
    name = "a"
    <BLANKLINE>
    [web]
    port = 1
    <BLANKLINE>
    [[users]]
    name = "b"
    """
    text = "".join(f"{key} = {_value(value)}\n" for key, value in values.items() if not _is_table(value))
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            text += f"\n[{name}]\n{toml_text(value, name + '.')}"
        elif _is_table(value) and value is not None:
            text += "".join(f"\n[[{name}]]\n{toml_text(entry, name + '.')}" for entry in value)
    return text


def _is_table(value: Any) -> bool:
    if value is None or isinstance(value, Mapping):
        return True
    return isinstance(value, (list, tuple)) and bool(value) and isinstance(value[0], Mapping)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(entry) for entry in value) + "]"
    return json.dumps(str(value), ensure_ascii=False)
