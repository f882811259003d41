"""Processes that the monitor starts beside itself: watched, recognised after its restart, ended with their children.

Each leads a session of its own, so it outlives a kill of the monitor; its `--out` folder, which no other process has,
is what it is recognised by.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

TAIL_BYTES = 4000
LOG_NAME = "log.txt"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """Of one process: wall time, and the memory of all that it started."""

    seconds: float
    bytes: int

    def broken(self, seconds: float, used_bytes: Callable[[], int]) -> str | None:
        """Which one it went beyond, in words, or None. Memory is only looked at within the time."""
        if seconds > self.seconds:
            return f"it took longer than {self.seconds:.0f} s"
        if (used := used_bytes()) > self.bytes:
            return f"it held {used / 1e9:.2f} GB of memory, {self.bytes / 1e9:.2f} GB are allowed"
        return None


class JobProcesses:
    """Processes by their `--out` folders."""

    def __init__(self) -> None:
        self.children: dict[Path, subprocess.Popen[bytes]] = {}

    def start(self, command: Sequence[str], out: Path, *, threads: int) -> int:
        """Begin in a new folder `out`, whose name is among the command's words; returns the pid. Raises OSError."""
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        with (out / LOG_NAME).open("wb") as log:
            child = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"},
            )
        self.children[out] = child
        return child.pid

    def running(self, out: Path) -> bool:
        """Whether it still works; collects it when it was our own and has ended."""
        child = self.children.get(out)
        if child is None:
            return _leader_of(out) is not None
        if child.poll() is None:
            return True
        del self.children[out]
        return False

    def used_bytes(self, out: Path) -> int:
        """Memory that it and all it started hold now, resident; 0 when it has ended."""
        child = self.children.get(out)
        leader = child.pid if child is not None else _leader_of(out)
        return 0 if leader is None else sum(_resident_of_group(leader))

    def end(self, out: Path) -> None:
        """Kill it with all it started, and nothing else."""
        child = self.children.pop(out, None)
        pid = child.pid if child is not None and child.poll() is None else _leader_of(out)
        if pid is not None:
            _log.warning("ending process %d of %s", pid, out)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        if child is not None:
            child.wait()

    def last_line(self, out: Path) -> str | None:
        """The newest line it wrote."""
        try:
            with (out / LOG_NAME).open("rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - TAIL_BYTES))
                lines = file.read().decode("utf-8", errors="replace").split("\n")
        except OSError:
            return None
        written = [line.strip() for line in lines if line.strip()]
        return written[-1][:500] if written else None


def _leader_of(out: Path) -> int | None:
    """The live process that leads its group and was started with `--out` that folder (Linux: read from /proc)."""
    wanted = os.fsencode(str(out))
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
            fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        state, group = fields[0], int(fields[2])
        if wanted in arguments and group == int(entry.name) and state not in ("Z", "X"):
            return group
    return None


def _resident_of_group(leader: int) -> Iterator[int]:
    """Bytes that each process of a group holds (Linux: read from /proc)."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if int(fields[2]) == leader:
                yield int((entry / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError, ValueError):
            continue  # it has just ended
