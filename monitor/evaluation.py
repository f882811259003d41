"""What bundles answer on labelled images, side by side, for the gate.

Runs as a process of its own (`python -m monitor.evaluation --request FILE --answer FILE`): a candidate that crashes,
hangs or eats all memory takes nothing with it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from contracts.bundle import Manifest
from contracts.errors import BundleError, LinesideError, LinkError
from contracts.names import Label, Wire
from runtime.bundle import open_bundle
from runtime.durable import write_whole
from runtime.preprocessing import decode, prepare
from runtime.session import Session

LIMIT_BYTES = 8 * 1024**3
IMAGE_LIMIT_SECONDS = 10.0
START_SECONDS = 60.0
BEAT_SECONDS = 0.2


class LabelledImage(Wire):
    """One image with its true label. `name` recognises it in reports: a part id, or the gold set's own name."""

    name: str
    path: Path
    label: Label


class Request(Wire):
    """Which bundles answer on which images."""

    bundles: dict[str, Path]
    images: tuple[LabelledImage, ...]
    threads: int = 1


class Answers(Wire):
    """Probabilities of one bundle, one row per image in the request's order; None where it had no answer."""

    labels: tuple[Label, ...]
    good_labels: tuple[Label, ...]
    probabilities: tuple[tuple[float, ...] | None, ...]
    failures: tuple[str, ...] = ()


class Evaluation(Wire):
    """Answers by the request's bundle names, or why a bundle could not answer at all."""

    answers: dict[str, Answers]
    errors: dict[str, str] = {}


def evaluate(
    request: Request,
    *,
    folder: Path,
    seconds_per_image: float = 1.0,
    stopping: Callable[[], bool] = lambda: False,
) -> Evaluation:
    """Run the request in a process of its own; `folder` takes its files.

    Raises BundleError where the process dies or takes too long: whoever asked must not promote what did that. Raises
    LinkError where `stopping` says that nobody waits for the answer any more.
    """
    folder.mkdir(parents=True, exist_ok=True)
    asked, answered = folder / "request.json", folder / "answer.json"
    answered.unlink(missing_ok=True)
    asked.write_text(request.model_dump_json(), encoding="utf-8")
    limit = START_SECONDS + seconds_per_image * len(request.images) * max(1, len(request.bundles))
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "monitor.evaluation", "--request", str(asked), "--answer", str(answered)],
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": str(request.threads), "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        try:
            code = _wait(process, limit, stopping)
        finally:
            _end(process)
    if code is None:
        raise BundleError(f"the evaluation took longer than {limit:.0f} s; see {folder / 'log.txt'}")
    if code != 0:
        raise BundleError(f"the evaluation ended with code {code}; see {folder / 'log.txt'}")
    try:
        return Evaluation.model_validate_json(answered.read_bytes())
    except (OSError, ValidationError) as error:
        raise BundleError(f"the evaluation left no readable answer: {error}") from error


def _wait(process: subprocess.Popen[bytes], limit_seconds: float, stopping: Callable[[], bool]) -> int | None:
    """The exit status, or None after the limit."""
    deadline = time.monotonic() + limit_seconds
    while time.monotonic() < deadline:
        if stopping():
            raise LinkError("the monitor stops; the evaluation is done again when it is back")
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=min(BEAT_SECONDS, limit_seconds))
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answer_all(request: Request) -> Evaluation:
    """What the process does: every bundle on every image. A bundle that does not load is an error, not an end."""
    answers, errors = {}, {}
    for name, path in request.bundles.items():
        try:
            answers[name] = _answer(path, request.images, threads=request.threads)
        except LinesideError as error:
            errors[name] = str(error)
    return Evaluation(answers=answers, errors=errors)


def _answer(path: Path, images: Sequence[LabelledImage], *, threads: int) -> Answers:
    bundle = open_bundle(path)
    session = Session(bundle, threads=threads)
    rows: list[tuple[float, ...] | None] = []
    failures = []
    for image in images:
        try:
            rows.append(tuple(float(value) for value in _infer(session, bundle.manifest, image.path)))
        except (LinesideError, OSError) as error:
            rows.append(None)
            failures.append(f"{image.name}: {error}")
    return Answers(
        labels=bundle.manifest.labels,
        good_labels=bundle.manifest.good_labels,
        probabilities=tuple(rows),
        failures=tuple(failures),
    )


def _infer(session: Session, manifest: Manifest, path: Path) -> NDArray[np.float32]:
    spec = manifest.preprocessing
    tensor = prepare(decode(path.read_bytes(), spec), spec)  # [1, 3, h, w]
    return session.infer(tensor, limit_seconds=IMAGE_LIMIT_SECONDS).probabilities


def main() -> None:
    """Read the request, write the answer durably under its name at the end."""
    import resource

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--request", type=Path, required=True)
    parser.add_argument("--answer", type=Path, required=True)
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    request = Request.model_validate_json(arguments.request.read_bytes())
    write_whole(arguments.answer, answer_all(request).model_dump_json())


if __name__ == "__main__":
    main()
