"""A disk that is full or answers with errors, at 100 points: does the station go on, say so, and recover by itself?

A line sends parts all the time. A trial takes one system call and one error, and ten points: strace makes that call
fail from its first, second, third... occurrence in each thread on, or only that once, for a second and a half, and then
lets go. As root, a further trial fills a small file system to its last byte. A part must get a verdict that is on
record, or a clear refusal (503 with the reason); `/ready` or the metrics must say it while parts are refused. A full
disk is among the tests of every run: `tests/edge_agent/test_web_inspect.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.faults.alone import Alone, alone
from benchmarks.faults.ledger import Ledger, Outcome, count, provenance, told
from benchmarks.faults.line import Answer, Line
from benchmarks.faults.plant import query, wait
from benchmarks.harness import Measured
from contracts.errors import LinesideError
from contracts.report import Figure

FAULTS = (
    "pwrite64:ENOSPC", "pwrite64:EIO", "fdatasync:EIO", "fdatasync:ENOSPC", "write:ENOSPC", "write:EIO",
    "openat:EIO", "openat:EROFS", "pread64:EIO", "unlink:EROFS",
)  # fmt: skip
"""What SQLite, the image buffer, the log and the slots ask of a file system."""
OCCURRENCES = ("1", "2", "3", "1+", "2+", "3+", "5+", "1+2", "2+3", "1+5")
"""Of strace: `3` that one, `3+` from that one on, `1+2` every second one."""
Fault = Callable[[Alone], contextlib.AbstractContextManager[None]]
"""Lasts as long as its block."""
_FULL = "full disk"
_MODULES = ("benchmarks.faults.disk", "edge_agent.agent")
_PER_SECOND = 20.0
_FAULTY_SECONDS = 1.5
_FULL_BYTES = 16 * 1024**2


def measure(options: argparse.Namespace) -> Measured:
    """Ten faults at ten points each, and a full file system where it may be mounted; one fault where `--quick`."""
    trials = list(FAULTS[: count(options, all_of_them=len(FAULTS), quick=1)])
    if os.geteuid() == 0 and not options.quick:
        trials.append(_FULL)
    outcomes = Ledger.of(options, "disk", *_MODULES).play(trials, play)
    return Measured(_figures(outcomes), {**provenance(outcomes), "trials": {o.trial: o.found for o in outcomes}})


def play(trial: str) -> dict[str, Any]:
    """One fault at all its points, on one station."""
    if trial == _FULL:
        return _fill()
    call, _, error = trial.partition(":")
    with tempfile.TemporaryDirectory(prefix="lineside-disk-") as name, alone(Path(name)) as station:
        return judge(station, [failing(call, error, when) for when in OCCURRENCES])


def _fill() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="lineside-disk-") as name, _small(Path(name) / "small") as state:
        with alone(Path(name), state=state) as station:
            return judge(station, [lambda station: _full(station.state)] * 5)


def judge(station: Alone, faults: Sequence[Fault]) -> dict[str, Any]:
    """Each fault in turn while parts come; then what the record says."""
    points = []
    with Line(station.port, per_second=_PER_SECOND) as line:
        for fault in faults:
            wait(lambda: _served(line, time.monotonic() - 0.5), "parts are served before the fault")
            points.append(_point(station, line, fault))
            if not station.child.running:
                station.child.start()
                wait(lambda: station.get("/ready")[0] == 200, "the station serves again after it was started")
        answers = sorted(line.answers, key=lambda answer: answer.sent)
    station.child.stop()
    on_record = {part for (part,) in query(station.state / "agent.sqlite", "SELECT part_id FROM verdicts")}
    sound = query(station.state / "agent.sqlite", "PRAGMA integrity_check") == [("ok",)]
    lost = [answer.part for answer in answers if answer.status == 200 and answer.part not in on_record]
    return {"points": points, "parts": len(answers), "lost": len(lost), "sound": sound}


def _point(station: Alone, line: Line, fault: Fault) -> dict[str, Any]:
    pid, refused, began = station.pid, _refused(station), time.monotonic()
    said = False
    with fault(station):
        while time.monotonic() - began < _FAULTY_SECONDS:
            said = said or _says_so(station)
            time.sleep(0.1)
    ended = time.monotonic()
    recovered = _recovers(line, ended)
    answers = [answer for answer in list(line.answers) if began <= answer.sent < ended]
    return {
        "crashed": not station.child.running or station.pid != pid,
        "recovered_seconds": recovered,
        "answers": dict(Counter(str(answer.status) for answer in answers)),
        "unclear": sum(not _clear(answer) for answer in answers),
        "said": said or _refused(station) > refused,
    }


def _recovers(line: Line, since: float) -> float | None:
    try:
        return round(wait(lambda: _served(line, since), "parts are served again", seconds=30.0), 3)
    except LinesideError:
        return None


def _served(line: Line, since: float) -> bool:
    return any(answer.status == 200 and answer.sent > since for answer in line.answers[-50:])


def _clear(answer: Answer) -> bool:
    """A verdict, or a refusal that says why and when to come back."""
    return answer.status in (200, 422, 503)


def _says_so(station: Alone) -> bool:
    status, body = station.get("/ready", seconds=3.0)
    return status == 503 and "disk" in body


def _refused(station: Alone) -> float:
    """Images refused so far, as the metrics have it."""
    found = re.search(r"^lineside_agent_refused_images_total (\S+)$", station.get("/metrics")[1], re.MULTILINE)
    return float(found[1]) if found else 0.0


def failing(call: str, error: str, when: str) -> Fault:
    """A system call of the station answers with an error, from the outside."""

    @contextlib.contextmanager
    def failing(station: Alone) -> Iterator[None]:
        words = ["strace", "-f", "-qq", "-o", os.devnull, "-p", str(station.pid), "-e", f"trace={call}"]
        with subprocess.Popen([*words, "-e", f"inject={call}:error={error}:when={when}"]) as tracer:
            try:
                yield
            finally:
                tracer.terminate()

    return failing


@contextlib.contextmanager
def _full(folder: Path) -> Iterator[None]:
    """Not one byte more."""
    filler = folder / "filler"
    try:
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        yield
    finally:
        filler.unlink(missing_ok=True)


@contextlib.contextmanager
def _small(folder: Path) -> Iterator[Path]:
    """A file system of 16 MB in memory."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_FULL_BYTES}", "none", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    points = [point for outcome in outcomes for point in outcome.found["points"]]
    answers = sum((Counter(point["answers"]) for point in points), Counter())
    lost = sum(outcome.found["lost"] + (not outcome.found["sound"]) for outcome in outcomes)
    crashed = sum(point["crashed"] for point in points)
    refusing = [point for point in points if point["answers"].get("503")]
    times = [point["recovered_seconds"] for point in points]
    note = ", ".join(f"{many} x {status}" for status, many in sorted(answers.items()))
    return [
        Figure(name="disk_points", value=len(points), note=f"answers meanwhile: {note}"),
        Figure(name="disk_crashes", value=crashed, note=told(crashed, len(points))),
        Figure(
            name="disk_unclear", value=sum(p["unclear"] for p in points), note="neither a verdict nor a clear refusal"
        ),
        Figure(name="disk_silent", value=sum(not p["said"] for p in refusing), note=f"of {len(refusing)} that refused"),
        Figure(name="disk_lost", value=lost, note="answered parts that are not on record, and damaged databases"),
        Figure(name="disk_not_recovered", value=sum(each is None for each in times), note="within 30 s"),
        Figure(
            name="disk_recovery_seconds",
            value=max((t for t in times if t is not None), default=None),
            unit="s",
            note="slowest",
        ),
    ]
