"""A bundle's model is first loaded and asked in a process of its own, with limits: what happens there harms nobody.

A file can pass every check on its bytes and still crash a runtime, eat the memory or never answer. The trial loads the
variant in the runtime that will serve it and answers the golden samples; whoever asked gets one BundleError, whatever
the process did. Only text crosses: a request and an answer as JSON.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, cast

from pydantic import Field, ValidationError

from contracts.errors import BundleError
from contracts.names import Sha256, Wire
from runtime.bundle import Bundle, open_bundle
from runtime.durable import write_whole
from runtime.graph import check_graph
from runtime.interpreter import ROOT, fresh, go_first, peak_bytes
from runtime.machine import describe_machine
from runtime.probe import LIMIT_SECONDS, probe
from runtime.session import Session
from runtime.targets import targets

_ROOT = ROOT
_LARGEST_ANSWER_BYTES = 64 * 1024
_MOST_REMEMBERED = 200
_PATIENCE = 10  # times the wall time, for a trial that gives way to everything else


@dataclass(frozen=True)
class Limits:
    """Of one trial. `memory_bytes` is address space, of which an idle runtime takes a quarter of a gigabyte;
    `cpu_seconds` counts all threads, `seconds` is wall time, `answer_seconds` is for one image."""

    memory_bytes: int = 3 * 1024**3
    cpu_seconds: int = 40
    seconds: float = 90.0
    answer_seconds: float = LIMIT_SECONDS


class Request(Wire):
    """What the process shall try."""

    path: str
    bundle_hash: Sha256
    variant: str | None
    threads: int = Field(ge=1)
    engines: str | None
    memory_bytes: int | None
    cpu_seconds: int
    seconds: float
    answer_seconds: float
    background: bool = False


class Answer(Wire):
    """How it went: `reason` is empty where the bundle may be loaded."""

    reason: str = ""
    peak_bytes: int = Field(default=0, description="resident, of the trial's process")
    seconds: float = Field(default=0.0, description="of the trial's process, its start not included")


def try_bundle(
    bundle: Bundle,
    *,
    variant: str | None = None,
    threads: int = 1,
    engines: Path | None = None,
    limits: Limits = Limits(),
    background: bool = False,
) -> Answer:
    """Check the file's bytes here, then load the variant and answer the golden samples elsewhere, in the `background`
    behind everything else that this machine does.

    Raises BundleError, naming the file and the reason, where either fails, or where the other process crashes, takes
    more memory or time than `limits`, or leaves no answer.
    """
    request = Request(
        path=str(bundle.path),
        bundle_hash=bundle.hash,
        variant=variant,
        threads=threads,
        engines=None if engines is None else str(engines.resolve()),
        memory_bytes=limits.memory_bytes if _on_processor(bundle, variant) else None,
        cpu_seconds=limits.cpu_seconds,
        seconds=limits.seconds,
        answer_seconds=limits.answer_seconds,
        background=background,
    )
    name = _name(bundle, variant)
    for file in sorted({each.file for each in bundle.manifest.variants if variant in (None, each.name)}):
        check_graph(bundle.read(file), f"{file} of bundle {bundle.hash[:12]}")
    status, answered = _run(request)
    if status is None:
        raise BundleError(
            f"{name} was tried in a process of its own and did not end in {limits.seconds:.0f} s; refused"
        )
    if status != 0:
        raise BundleError(f"{name} was tried in a process of its own, which {_ended(status, limits)}; refused")
    try:
        answer = Answer.model_validate_json(answered)
    except ValidationError as error:
        raise BundleError(f"{name} was tried in a process of its own, which left no answer; refused") from error
    if answer.reason:
        raise BundleError(answer.reason)
    return answer


class Trials:
    """Tries a bundle once on this machine with this runtime, and remembers in `file` that it passed."""

    def __init__(self, file: Path, *, limits: Limits = Limits()) -> None:
        self._file, self._limits = file, limits

    def check(
        self,
        bundle: Bundle,
        *,
        variant: str | None = None,
        threads: int = 1,
        engines: Path | None = None,
        background: bool = False,
    ) -> None:
        """Raises BundleError as `try_bundle` does; at once where this bundle has passed before. In the `background` it
        may take longer by the clock."""
        key = _key(bundle, variant, threads, self._limits)
        passed = self._passed()
        if key in passed:
            return
        limits = _patient(self._limits) if background else self._limits
        try_bundle(bundle, variant=variant, threads=threads, engines=engines, limits=limits, background=background)
        self._remember([*passed, key][-_MOST_REMEMBERED:])

    def _passed(self) -> list[str]:
        """What cannot be read is tried again."""
        try:
            found = json.loads(self._file.read_bytes())
        except (OSError, ValueError, RecursionError):
            return []
        return [key for key in found if isinstance(key, str)] if isinstance(found, list) else []

    def _remember(self, passed: list[str]) -> None:
        with contextlib.suppress(OSError):  # a full disk costs another trial, not the bundle
            write_whole(self._file, json.dumps(passed))


def _patient(limits: Limits) -> Limits:
    """The same work in more time."""
    answer_seconds = _PATIENCE * limits.answer_seconds
    return replace(limits, seconds=_PATIENCE * limits.seconds, answer_seconds=answer_seconds)


def _key(bundle: Bundle, variant: str | None, threads: int, limits: Limits) -> str:
    """Another bundle, machine, version of a runtime or of these checks is tried anew."""
    versions = {name: target.version() for name, target in targets().items() if target.unavailable() is None}
    told = [bundle.hash, variant, threads, describe_machine(), versions, repr(limits), _fingerprint()]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _fingerprint() -> str:
    """Of the modules that decide."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for module in sorted(folder.rglob("*.py")):
        digest.update(module.read_bytes())
    return digest.hexdigest()


def _on_processor(bundle: Bundle, variant: str | None) -> bool:
    """A GPU's runtime reserves address space by the terabyte: there the limit would refuse everything."""
    variants = [each for each in bundle.manifest.variants if variant in (None, each.name)]
    return all(each.target.endswith("-cpu") for each in variants)


def _name(bundle: Bundle, variant: str | None) -> str:
    try:
        chosen = bundle.manifest.variant(variant)
    except KeyError as error:
        raise BundleError(f"bundle {bundle.hash[:12]}: {error.args[0]}") from error
    return f"{chosen.file} of bundle {bundle.hash[:12]} ({chosen.name})"


def _ended(status: int, limits: Limits) -> str:
    if status in (-signal.SIGKILL, -signal.SIGXCPU):
        return f"used more than {limits.cpu_seconds} s of processor time or was killed for its memory"
    if status == -signal.SIGALRM:
        return f"did not end in {limits.seconds:.0f} s"
    if status < 0:
        return f"crashed ({signal.Signals(-status).name})"
    return f"ended with status {status}"


def _run(request: Request) -> tuple[int | None, bytes]:
    """(exit status, what it answered); None for the status where it had to be killed for its time."""
    deadline = time.monotonic() + request.seconds
    with subprocess.Popen(
        fresh("runtime.trial", "answer", root=_ROOT, background=request.background),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=not request.background,  # where Linux shares by sessions, a new one would not be behind
    ) as process:
        try:
            _send(process, request)
            answered = _receive(process, deadline)
            return process.wait(timeout=max(deadline - time.monotonic(), 0.0)), answered
        except subprocess.TimeoutExpired:
            return None, b""
        finally:
            process.kill()


def _send(process: subprocess.Popen[bytes], request: Request) -> None:
    with contextlib.suppress(BrokenPipeError), cast(IO[bytes], process.stdin) as pipe:  # its exit status tells more
        pipe.write(request.model_dump_json().encode())


def _receive(process: subprocess.Popen[bytes], deadline: float) -> bytes:
    """What it says until it ends, is late or says too much."""
    pipe, answered = cast(IO[bytes], process.stdout), b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while len(answered) <= _LARGEST_ANSWER_BYTES and selector.select(max(deadline - time.monotonic(), 0.0)):
            block = os.read(pipe.fileno(), _LARGEST_ANSWER_BYTES)
            if not block:
                return answered
            answered += block
    process.kill()
    if len(answered) <= _LARGEST_ANSWER_BYTES:
        raise subprocess.TimeoutExpired(process.args, 0.0)
    return b""


def answer() -> None:
    """What the process does: limits first, then the request from standard input, tried, answered on standard output."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as told:
        os.dup2(2, 1)  # what a runtime prints is not the answer
        request = Request.model_validate_json(sys.stdin.buffer.read())
        _limit(request)
        _tell(told, _tried(request))


def _limit(request: Request) -> None:
    """Memory, processor time, wall time, no files, no core dump; and first to go where the machine runs short."""
    import resource

    def most(kind: int, soft: int, hard: int | None = None) -> None:
        allowed = resource.getrlimit(kind)[1]
        limit = soft if hard is None else hard
        resource.setrlimit(kind, (soft, limit if allowed == resource.RLIM_INFINITY else min(limit, allowed)))

    if request.memory_bytes is not None:
        most(resource.RLIMIT_AS, request.memory_bytes)
    most(resource.RLIMIT_CPU, request.cpu_seconds, request.cpu_seconds + 5)
    most(resource.RLIMIT_FSIZE, 0)
    most(resource.RLIMIT_CORE, 0)
    signal.setitimer(signal.ITIMER_REAL, request.seconds)  # even where whoever asked is gone
    go_first()


def _tried(request: Request) -> Answer:
    started = time.monotonic()
    try:
        _try(request)
    except BundleError as error:
        return Answer(reason=str(error)[:2000])
    except MemoryError:
        return Answer(reason=f"bundle {request.bundle_hash[:12]} needs more memory than its trial may take; refused")
    return Answer(peak_bytes=peak_bytes(), seconds=time.monotonic() - started)


def _try(request: Request) -> None:
    bundle = open_bundle(Path(request.path), expected_hash=request.bundle_hash)
    engines = None if request.engines is None else Path(request.engines)
    session = Session(bundle, variant=request.variant, threads=request.threads, engines=engines)
    probe(bundle, session, limit_seconds=request.answer_seconds, rounds=1)


def _tell(told: IO[str], found: Answer) -> None:
    told.write(found.model_dump_json())
