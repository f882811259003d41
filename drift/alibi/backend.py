"""Our side: a detector of alibi-detect that takes vectors as ours take windows."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from contracts.errors import ConfigurationError

OFFLINE = ("KSDrift", "CVMDrift", "MMDDrift", "LSDDDrift")
ONLINE = ("MMDDriftOnline", "LSDDDriftOnline", "CVMDriftOnline")
LICENCE = "alibi-detect is under the Business Source License 1.1: production use needs a licence from Seldon"
_TORCH = {"backend": "pytorch", "device": "cpu"}
_SETTINGS = dict.fromkeys(("MMDDrift", "LSDDDrift", "MMDDriftOnline", "LSDDDriftOnline"), _TORCH)
_SERVED = Path(__file__).with_name("served.py")

Floats = NDArray[np.floating[Any]]


class AlibiDetector:
    """One of `OFFLINE` or `ONLINE`, by `name`, against `reference` rows [n, m] in control; `settings` are alibi's own.

    An offline one is asked about every `window` rows, an online one about each. `python` is the interpreter of the
    environment that `scripts/setup-alibi` makes. A context manager, since a process stands behind it. Raises
    ConfigurationError where there is no such environment or alibi refuses the settings.
    """

    def __init__(
        self,
        name: str,
        reference: Floats,
        *,
        python: Path,
        window: int = 1,
        settings: Mapping[str, Any] | None = None,
        patience_seconds: float = 300.0,
    ) -> None:
        if name not in (*OFFLINE, *ONLINE):
            raise ConfigurationError(f"no detector {name}; those that run here: {', '.join((*OFFLINE, *ONLINE))}")
        if not python.is_file():
            raise ConfigurationError(f"no environment with alibi-detect at {python}: scripts/setup-alibi makes it")
        self.name, self.drift_detected = name, False
        self.statistics: list[float | None] = []
        """What alibi made of the rows of the last update, the largest of all entries; None while its window fills."""
        self._window = 1 if name in ONLINE else window
        self._rows: list[Floats] = []
        self._patience = patience_seconds
        self._process = subprocess.Popen(
            [str(python), "-I", str(_SERVED)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        try:
            asked = {"name": name, "settings": {**_SETTINGS.get(name, {}), **(settings or {})}}
            answer = self._ask(asked, np.atleast_2d(reference))
            self.version = str(answer["version"])
            self.kept: list[int] | None = answer["kept"]
            """Rows of the reference that it compares with; None: all."""
        except BaseException:
            self.close()
            raise

    def update(self, mean: Floats, images: int = 1) -> bool:
        """Take one vector [m] or several [n, m], of single images or means of windows; whether drift is detected.
        alibi does not weigh rows, so `images` counts for nothing."""
        self._rows.extend(np.atleast_2d(np.asarray(mean, np.float64)))
        self.statistics = []
        while len(self._rows) >= self._window:
            batch, self._rows = self._rows[: self._window], self._rows[self._window :]
            answer = self._ask({}, np.array(batch))
            self.drift_detected = bool(answer["drift"])
            self.statistics += answer["statistics"]
        return self.drift_detected

    def restart(self) -> None:
        """Forget what was seen since the reference."""
        self._rows, self.drift_detected = [], False
        self._ask({"reset": True}, None)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):  # of what was not flushed
                    stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, asked: dict[str, Any], rows: Floats | None) -> dict[str, Any]:
        sent, answers = self._process.stdin, self._process.stdout
        if sent is None or answers is None:
            raise ConfigurationError(f"{self.name}: its process has no pipes")
        shape = {} if rows is None else {"shape": rows.shape}
        try:
            sent.write(json.dumps({**asked, **shape}).encode() + b"\n")
            sent.write(b"" if rows is None else np.ascontiguousarray(rows, "<f8").tobytes())
            sent.flush()
            answer = json.loads(self._line(answers.fileno()))
        except (BrokenPipeError, json.JSONDecodeError) as error:
            raise ConfigurationError(f"{self.name}: its process ended: make the environment anew") from error
        if "error" in answer:
            raise ConfigurationError(f"alibi-detect refuses {self.name}: {answer['error']}")
        return dict(answer)

    def _line(self, descriptor: int) -> bytes:
        line, until = b"", time.monotonic() + self._patience
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([descriptor], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise ConfigurationError(f"{self.name} gave no answer within {self._patience:.0f} s: a smaller window")
            if not (part := os.read(descriptor, 65536)):
                break
            line += part
        return line
