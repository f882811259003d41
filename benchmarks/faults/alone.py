"""One station by itself: the agent as `lineside agent` starts it, with a small bundle that was installed by hand."""

from __future__ import annotations

import contextlib
import http.client
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import benchmarks
from benchmarks.faults.plant import is_up, wait
from lineside.process import Child, free_port
from lineside.toml import write_toml
from tests.simulators.small_bundle import write_small_bundle

_ROOT = Path(benchmarks.__file__).parents[1]


@dataclass(frozen=True)
class Alone:
    """`state` is its folder, `child` its process."""

    port: int
    state: Path
    child: Child

    @property
    def pid(self) -> int:
        """Of the process that runs now, or ran last."""
        return self.child.process.pid if self.child.process is not None else 0

    def get(self, path: str, *, seconds: float = 10.0) -> tuple[int | None, str]:
        """(status, body); None where nobody answered in time."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)) as connection:
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read().decode("utf-8", "replace")
            except (OSError, http.client.HTTPException):
                return None, ""

    def resident_bytes(self) -> int:
        """Memory of the process that its own pages take."""
        lines = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def agent_words(config: Path) -> list[str]:
    """The command that stations run."""
    return ["lineside", "agent", "--config", str(config)]


@contextlib.contextmanager
def alone(
    folder: Path,
    *,
    state: Path | None = None,
    words: Callable[[Path], list[str]] = agent_words,
    **settings: Any,
) -> Iterator[Alone]:
    """A station that is ready to inspect; `settings` are those that are not its defaults, `words` what Python runs as a
    module."""
    bundle = write_small_bundle(folder / "bundle")
    port, place = free_port(), state or folder / "agent"
    values: dict[str, Any] = {
        "site": "plant",
        "agent": "agent-1",
        "state_folder": place,
        "bundle": {"path": bundle.path, "hash": bundle.hash},
        **settings,
        "web": {"port": port, **settings.get("web", {})},
    }
    command = [sys.executable, "-m", *words(write_toml(folder / "agent.toml", values))]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"}
    child = Child("agent", command, folder / "agent.log", environment=environment)
    child.start()
    try:
        wait(partial(is_up, f"http://127.0.0.1:{port}/ready"), "the station is ready")
        yield Alone(port, place, child)
    finally:
        child.stop()
