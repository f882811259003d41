"""wrk, a compiled client, so that the load takes little of the two cores; what it takes is measured."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from contracts.errors import ConfigurationError

_SCRIPT = Path(__file__).with_name("load.lua")
_MICROSECOND = 1e-6


@dataclass(frozen=True)
class Load:
    """What one run found: answers a second, latencies in seconds, the client's own processor seconds."""

    per_second: float
    p50_seconds: float
    p99_seconds: float
    errors: int
    client_share: float
    """Of one core."""


def load(
    url: str, images: Sequence[Path], *, clients: int, seconds: int, body: Literal["plain", "form"] = "plain"
) -> Load:
    """Post images for so long over `clients` connections that each wait for their answer. Raises ConfigurationError
    where wrk is missing or says nothing."""
    program = shutil.which("wrk")
    if program is None:
        raise ConfigurationError("the load comes from wrk: apt-get install wrk")
    environment = {**os.environ, "IMAGES": ":".join(map(str, images)), "BODY": body}
    words = [program, "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "10s", "-s", str(_SCRIPT), url]
    before = _children_seconds()
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=seconds + 60, check=False)
    spent = _children_seconds() - before
    said = next((line.split() for line in done.stdout.splitlines() if line.startswith("FOUND ")), None)
    if said is None:
        raise ConfigurationError(f"wrk measured nothing: {(done.stderr or done.stdout).strip()[-300:]}")
    requests, duration, p50, p99, errors = map(int, said[1:])
    elapsed = duration * _MICROSECOND
    return Load(requests / elapsed, p50 * _MICROSECOND, p99 * _MICROSECOND, errors, spent / elapsed)


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
