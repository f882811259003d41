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
EVERY = f"{CALLS},fdatasync,ftruncate,fchmod,fchown,openat"
"""Those too that a database uses, and every `open`."""


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
    finished = _run(program, arguments, ["-f", "-e", f"trace={CALLS}", "-o", str(log)])
    assert finished.returncode == 0, finished.stderr
    return [line.split(maxsplit=1)[1] for line in log.read_text().splitlines() if "(" in line]


def traced_alone(program: Path, *arguments: object, log: Path) -> list[str]:
    """The same of the main thread alone, of `EVERY` call, with the paths of what is open."""
    finished = _run(program, arguments, ["-y", "-e", f"trace={EVERY}", "-o", str(log)])
    assert finished.returncode == 0, finished.stderr
    return [line for line in log.read_text(errors="replace").splitlines() if "(" in line]


def run_killed_at(number: int, calls: list[str], program: Path, *arguments: object, alone: bool = False) -> None:
    """Run and kill on entry to `calls[number]`; asserts that it was killed. (strace counts each name by itself.)"""
    name = name_of(calls[number])
    occurrence = [name_of(call) for call in calls[: number + 1]].count(name)
    inject = f"inject={name}:signal=KILL:when={occurrence}"
    options = [*([] if alone else ["-f"]), "-e", f"trace={name}", "-e", inject, "-o", os.devnull]
    finished = _run(program, arguments, options)
    assert finished.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), (calls[number], finished)


def name_of(call: str) -> str:
    """The system call's."""
    return call.partition("(")[0]


def _run(program: Path, arguments: tuple[object, ...], options: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["strace", "-qq", *options, sys.executable, str(program), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
