"""A fresh Python beside this one, for what may crash or has to be measured alone.

Never a fork: whoever asks may have threads. Nothing comes from the environment's PYTHON variables or the current
folder, only our own packages.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def fresh(module: str, function: str, *, root: Path = ROOT, background: bool = False) -> list[str]:
    """The command that calls `function` of `module` in a new interpreter; in the `background` it gives way first."""
    way = "from runtime.interpreter import give_way; give_way(); " if background else ""
    code = f"import sys; sys.path.insert(0, {str(root)!r}); {way}from {module} import {function}; {function}()"
    return [sys.executable, "-I", "-B", "-c", code]


def peak_bytes() -> int:
    """Most memory that this process has had resident since it was started. Where Linux does not tell, what its parent
    had at that moment counts too, as `getrusage` has it."""
    status = Path("/proc/self/status")
    text = status.read_text(encoding="ascii", errors="replace") if status.exists() else ""
    if (found := re.search(r"^VmHWM:\s*(\d+) kB$", text, re.MULTILINE)) is not None:
        return int(found[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def give_way() -> None:
    """From now on this process gets the time that nobody else wants, and goes first where memory runs short."""
    os.nice(19)
    go_first()


def go_first() -> None:
    """Where memory runs short the kernel ends this process before any other."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
