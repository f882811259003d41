"""A fresh Python is measured alone."""

from __future__ import annotations

import subprocess
import sys

from runtime.interpreter import ROOT

TELL = "from runtime.interpreter import peak_bytes; print(peak_bytes())"


def told(before: str = "") -> int:
    """What a fresh process says that it has had."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {before}{TELL}"
    return int(subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=True).stdout)


def test_the_peak_of_a_process_is_its_own_and_not_that_of_whoever_started_it() -> None:
    ballast = b"x" * 300_000_000
    assert told() < 100_000_000
    assert told("ballast = b'x' * 300_000_000; del ballast; ") > len(ballast)
