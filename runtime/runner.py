"""One variant alone in a process of its own, asked through a pipe: what it takes is its own, not its neighbour's.

`Runner` is the side that asks, `serve` what the process does. Lines of JSON both ways.
"""

from __future__ import annotations

import itertools
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from contracts.errors import BundleError
from contracts.names import Sha256, Wire
from runtime.bundle import Bundle, open_bundle
from runtime.interpreter import fresh, peak_bytes
from runtime.preprocessing import ImageError, decode, prepare
from runtime.session import Session

LIMIT_SECONDS = 120.0
"""For one answer of the process, which may be of a hundred inferences."""
_BACKGROUND_PATIENCE = 5  # times as long for one that gives way to others


class Ready(Wire):
    """The model is loaded and has answered once."""

    load_seconds: float


class Block(Wire):
    """Some inferences: the seconds of each, and from the first one's start to the last one's end."""

    seconds: tuple[float, ...]
    wall_seconds: float
    peak_bytes: int


class Answers(Wire):
    """Probabilities by image; None where it could not be read."""

    rows: tuple[tuple[float, ...] | None, ...]


class Failed(Wire):
    """Why not."""

    error: str


class Start(Wire):
    """The first line that a process gets."""

    path: str
    bundle_hash: Sha256
    variant: str
    threads: int
    engines: str | None = None


Found = TypeVar("Found", bound=Wire)


class Runner:
    """Starts the process; `with` ends it. `engines` is where an agent keeps built ones; in the `background` the process
    is behind everything else that the machine does. Raises BundleError where the variant does not load there, or the
    process dies or says nothing for LIMIT_SECONDS."""

    def __init__(
        self, bundle: Bundle, variant: str, *, threads: int, engines: Path | None = None, background: bool = False
    ) -> None:
        self.variant, self.threads = variant, threads
        self._patience = _BACKGROUND_PATIENCE if background else 1
        self._name = f"{variant} of bundle {bundle.hash[:12]}"
        started = time.perf_counter()
        self._process = subprocess.Popen(
            fresh("runtime.runner", "serve", background=background),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._rest = b""
        built = None if engines is None else str(engines.resolve())
        start = Start(path=str(bundle.path), bundle_hash=bundle.hash, variant=variant, threads=threads, engines=built)
        try:
            self.ready = self._ask(start.model_dump(), Ready)
        except BundleError:
            self.close()
            raise
        self.cold_start_seconds = time.perf_counter() - started

    @property
    def process_id(self) -> int:
        """Of the process."""
        return self._process.pid

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, count: int, *, callers: int = 1) -> Block:
        """`count` inferences by each of so many threads that ask at once."""
        return self._ask({"do": "run", "count": count, "callers": callers}, Block)

    def answer(self, files: Sequence[Path]) -> Answers:
        """The network's answers on images, pre-processing as on the line."""
        return self._ask({"do": "answer", "files": [str(file) for file in files]}, Answers)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                cast(IO[bytes], pipe).close()
            except BrokenPipeError:
                continue

    def _ask(self, question: dict[str, Any], kind: type[Found]) -> Found:
        try:
            pipe = cast(IO[bytes], self._process.stdin)
            pipe.write(json.dumps(question).encode() + b"\n")
            pipe.flush()
            line = self._line()
        except BrokenPipeError:
            line = b""
        if not line:
            raise BundleError(
                f"{self._name}: the process that ran it ended or said nothing; this variant cannot serve here"
            )
        try:
            return kind.model_validate_json(line)
        except ValidationError:
            raise BundleError(f"{self._name}: {_failure(line)}") from None

    def _line(self) -> bytes:
        """The next line; empty where the process ended or is late."""
        pipe, deadline = cast(IO[bytes], self._process.stdout), time.monotonic() + self._patience * LIMIT_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                if not selector.select(max(deadline - time.monotonic(), 0.0)):
                    return b""
                block = os.read(pipe.fileno(), 1 << 20)
                if not block:
                    return b""
                self._rest += block
        line, _, self._rest = self._rest.partition(b"\n")
        return line


def _failure(line: bytes) -> str:
    try:
        return Failed.model_validate_json(line).error
    except ValidationError:
        return "the process that ran it answered nonsense"


def serve() -> None:
    """What the process does: load, answer once, then whatever is asked, until its input ends."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as told:
        os.dup2(2, 1)  # what a runtime prints is no answer
        lines = iter(sys.stdin)
        try:
            served = _Served(Start.model_validate_json(next(lines)))
            _tell(told, Ready(load_seconds=served.load_seconds))
            for line in lines:
                _tell(told, served.do(json.loads(line)))
        except (BundleError, ImageError, MemoryError) as error:
            _tell(told, Failed(error=str(error) or "not enough memory"))


def _tell(told: IO[str], found: Wire) -> None:
    told.write(found.model_dump_json() + "\n")
    told.flush()


class _Served:
    def __init__(self, start: Start) -> None:
        self._bundle = open_bundle(Path(start.path), expected_hash=start.bundle_hash)
        started = time.perf_counter()
        engines = None if start.engines is None else Path(start.engines)
        self._session = Session(self._bundle, variant=start.variant, threads=start.threads, engines=engines)
        self._tensor = self._input(self._bundle.read(self._bundle.manifest.golden_samples[0].file))
        self._session.infer(self._tensor, limit_seconds=LIMIT_SECONDS)
        self.load_seconds = time.perf_counter() - started

    def do(self, asked: dict[str, Any]) -> Wire:
        if asked["do"] == "answer":
            return Answers(rows=tuple(self._answer(Path(file)) for file in asked["files"]))
        return self._run(asked["count"], asked["callers"])

    def _run(self, count: int, callers: int) -> Block:
        seconds: list[list[float]] = [[] for _ in range(callers)]
        threads = [threading.Thread(target=self._ask, args=(count, mine)) for mine in seconds[1:]]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        self._ask(count, seconds[0])
        for thread in threads:
            thread.join()
        wall = time.perf_counter() - started
        return Block(seconds=tuple(itertools.chain.from_iterable(seconds)), wall_seconds=wall, peak_bytes=peak_bytes())

    def _ask(self, count: int, seconds: list[float]) -> None:
        for _ in range(count):
            started = time.perf_counter()
            self._session.infer(self._tensor)
            seconds.append(time.perf_counter() - started)

    def _answer(self, file: Path) -> tuple[float, ...] | None:
        try:
            tensor = self._input(file.read_bytes())
        except (ImageError, OSError):
            return None
        return tuple(float(value) for value in self._session.infer(tensor).probabilities)

    def _input(self, data: bytes) -> NDArray[np.float32]:
        spec = self._bundle.manifest.preprocessing
        return prepare(decode(data, spec), spec)
