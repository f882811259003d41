"""What a model leaves that takes the whole process with it: Python writes down where that was, in its last moment."""

from __future__ import annotations

import contextlib
import faulthandler
from collections.abc import Iterator
from pathlib import Path

_RUNTIME = ("onnx_runner.py", "/targets/")
"""Files in whose calls a model computes."""


@contextlib.contextmanager
def written_down(file: Path) -> Iterator[None]:
    """While this lasts, a fatal signal (a division that cannot be, a wrong address, an abort) leaves its name and the
    calls of its thread in `file`, which stays empty otherwise. One at a time in a process."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8") as kept:
        faulthandler.enable(kept, all_threads=False)
        try:
            yield
        finally:
            faulthandler.disable()


def blamed_on_model(file: Path) -> str | None:
    """How the last process ended, where it ended while a model computed; None where it did not, or nothing tells."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    first, _, calls = text.partition("\n")
    return first[:200] if first and any(name in calls for name in _RUNTIME) else None
