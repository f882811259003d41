"""The programs that are compared, each a process of its own on loopback, started once and asked in turn."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast

import benchmarks
from contracts.errors import ConfigurationError

INT8 = "onnxruntime-cpu/int8"
_START_SECONDS = 60.0
_ROOT = Path(benchmarks.__file__).parents[1]
_CONFIG = """\
site = "plant"
agent = "agent-1"
state_folder = "{state}"
production = false

[inspection]
variant = "{variant}"

[web]
port = {port}

[bundle]
path = "{bundle}"
hash = "{hash}"
"""


@dataclass(frozen=True)
class Server:
    """Where to post an image, and as what."""

    url: str
    process: subprocess.Popen[bytes]
    body: Literal["plain", "form"] = "plain"

    def cpu_seconds(self) -> float:
        """Processor time of the process and of what it has started."""
        return sum(map(cpu_of, [self.process.pid, *_children(self.process.pid)]))

    def resident_bytes(self) -> int:
        """Proportional, so that what processes share counts once."""
        return sum(map(_memory_of, [self.process.pid, *_children(self.process.pid)]))


@dataclass(frozen=True)
class Loop:
    """The bare loop, which waits to be let run."""

    process: subprocess.Popen[str]

    def run(self, seconds: float) -> tuple[float, float]:
        """(images a second, seconds of the middle one)."""
        to, back = cast(IO[str], self.process.stdin), cast(IO[str], self.process.stdout)
        to.write(f"{seconds}\n")
        to.flush()
        per_second, middle = back.readline().split()
        return float(per_second), float(middle)


@contextlib.contextmanager
def lineside(
    bundle: Path, bundle_hash: str, folder: Path, *, variant: str = INT8, installed: Path | None = None
) -> Iterator[Server]:
    """The command that a station runs, with everything on; of this checkout, or as it is `installed` beside that
    interpreter."""
    port, config = free_port(), folder / "agent.toml"
    config.write_text(
        _CONFIG.format(state=folder / "state", port=port, bundle=bundle, hash=bundle_hash, variant=variant)
    )
    words = [str(installed or sys.executable), "-m", "lineside", "agent", "--config", str(config)]
    with running(words, folder=folder if installed else _ROOT) as process:
        wait_until_ready(port, "/ready", process)
        yield Server(f"http://127.0.0.1:{port}/v1/inspect", process)


@contextlib.contextmanager
def minimal(bundle: Path) -> Iterator[Server]:
    """The smallest FastAPI endpoint."""
    port = free_port()
    with running([sys.executable, "-m", "benchmarks.serving.minimal", str(bundle), str(port)]) as process:
        wait_until_ready(port, "/openapi.json", process)
        yield Server(f"http://127.0.0.1:{port}/inspect", process)


@contextlib.contextmanager
def litserve(bundle: Path, python: Path) -> Iterator[Server]:
    """LitServe, in the environment of that interpreter."""
    port = free_port()
    with running([str(python), "-m", "benchmarks.serving.lit", str(bundle), str(port)]) as process:
        wait_until_ready(port, "/health", process)
        yield Server(f"http://127.0.0.1:{port}/predict", process, "form")


@contextlib.contextmanager
def bare(
    kind: Literal["lineside", "opencv"], bundle: Path, images: Sequence[Path], *, variant: str = INT8
) -> Iterator[Loop]:
    """The loop, warm and waiting."""
    words = [sys.executable, "-m", "benchmarks.serving.bare", kind, str(bundle), variant, *map(str, images)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT, env=environment()
    ) as process:
        try:
            if cast(IO[str], process.stdout).readline().strip() != "ready":
                raise ConfigurationError(f"the bare loop ({kind}) did not start; see above")
            yield Loop(process)
        finally:
            process.terminate()


@contextlib.contextmanager
def running(words: list[str], *, folder: Path = _ROOT) -> Iterator[subprocess.Popen[bytes]]:
    """A program that is started, and ended with what it has started itself; elsewhere than in the checkout it does not
    see the checkout."""
    process = subprocess.Popen(words, cwd=folder, env=environment(folder == _ROOT), stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        started = _children(process.pid)
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)
        for pid in started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)


def environment(checkout: bool = True) -> dict[str, str]:
    """Of a program of this checkout, or of one that must not see it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return {**(os.environ if checkout else kept), "OMP_NUM_THREADS": "1"} | (
        {"PYTHONPATH": str(_ROOT)} if checkout else {}
    )


def wait_until_ready(port: int, path: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        time.sleep(0.02)
    raise ConfigurationError(f"{' '.join(map(str, process.args[:3]))} did not answer {path}")  # type: ignore[index]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []
    found: list[int] = []
    for task in tasks:
        with contextlib.suppress(OSError):
            found += [int(child) for child in (task / "children").read_text().split()]
    return [each for child in found for each in (child, *_children(child))]


def cpu_of(pid: int) -> float:
    """Processor time of one process, in seconds; 0 where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_of(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
