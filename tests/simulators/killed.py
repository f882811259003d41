"""Programs that are killed with SIGKILL at one chosen system call, by strace's fault injection."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

CALLS = "write,pwrite64,fsync,rename,renameat,renameat2,mkdir,unlink,unlinkat,rmdir,symlink,symlinkat,link,truncate"
"""What changes a file system (an `open` that creates only makes an empty file, which the next call stands for)."""


def _may_trace() -> bool:
    """strace is there, and this machine lets it (some containers do not)."""
    program = shutil.which("strace")
    if program is None:
        return False
    tried = subprocess.run([program, "-qq", "-o", os.devnull, "true"], capture_output=True, check=False)
    return tried.returncode == 0


AVAILABLE = _may_trace()


def traced_calls(program: Path, *arguments: object, log: Path) -> list[str]:
    """Run to the end; the changing calls, one line each."""
    finished = _run(program, arguments, ["-e", f"trace={CALLS}", "-o", str(log)])
    assert finished.returncode == 0, finished.stderr
    return [line.split(maxsplit=1)[1] for line in log.read_text().splitlines() if "(" in line]


def run_killed_at(number: int, calls: list[str], program: Path, *arguments: object) -> None:
    """Run and kill on entry to `calls[number]`; asserts that it was killed. (strace counts each name by itself.)"""
    name = _name(calls[number])
    occurrence = [_name(call) for call in calls[: number + 1]].count(name)
    inject = f"inject={name}:signal=KILL:when={occurrence}"
    finished = _run(program, arguments, ["-e", f"trace={name}", "-e", inject, "-o", os.devnull])
    assert finished.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), (calls[number], finished)


def _name(call: str) -> str:
    return call.partition("(")[0]


def _run(program: Path, arguments: tuple[object, ...], options: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["strace", "-f", "-qq", *options, sys.executable, str(program), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
