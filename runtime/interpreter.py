"""A fresh Python beside this one, for what may crash or has to be measured alone.

Never a fork: whoever asks may have threads. Nothing comes from the environment's PYTHON variables or the current
folder, only our own packages.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def fresh(module: str, function: str, *, root: Path = ROOT) -> list[str]:
    """The command that calls `function` of `module` in a new interpreter."""
    code = f"import sys; sys.path.insert(0, {str(root)!r}); from {module} import {function}; {function}()"
    return [sys.executable, "-I", "-B", "-c", code]
