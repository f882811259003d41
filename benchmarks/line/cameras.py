"""The cameras' process, started and waited for."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from benchmarks.line.cadence import Cadence
from benchmarks.serving.servers import environment
from contracts.errors import ConfigurationError


@contextlib.contextmanager
def triggering(cadence: Cadence, ledger: Path) -> Iterator[subprocess.Popen[str]]:
    """The cameras trigger from now on; the end of the block waits for their last answer. Raises ConfigurationError
    where they failed."""
    words = [sys.executable, "-m", "benchmarks.line.client", str(ledger)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, text=True, env=environment()) as process:
        try:
            with cast(IO[str], process.stdin) as given:
                given.write(json.dumps(cadence.as_dict()))
            yield process
            process.wait()
        finally:
            process.kill()
    if process.returncode != 0:
        raise ConfigurationError("the cameras' process failed; see above")
