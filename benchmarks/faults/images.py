"""100,000 mutated images over HTTP: does the station crash, answer 5xx, or keep their memory?

Two clients send as fast as they are answered, so that the station's queue is never full. Each trial is a station of its
own that gets 10,000 images; memory is compared between the first 2,000 and the end. Some hundreds are sent in every
test run: `tests/edge_agent/test_web_inspect.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.faults.alone import Alone, alone
from benchmarks.faults.ledger import Ledger, Outcome, count, provenance, told
from benchmarks.faults.mutants import Mutant, mutant
from benchmarks.harness import Measured
from contracts.report import Figure

A_TRIAL, _QUICK = 10_000, 1_000
_MODULES = ("benchmarks.faults.images", "edge_agent.agent")
_CLIENTS = 2
_WARM = 5  # part of a trial after which memory is taken for the first time


def measure(options: argparse.Namespace) -> Measured:
    """Ten trials of 10,000 images; one of 1,000 where `--quick`."""
    images = _QUICK if options.quick else A_TRIAL
    trials = [f"{number}:{images}" for number in range(count(options, all_of_them=100_000 // A_TRIAL, quick=1))]
    outcomes = Ledger.of(options, "images", *_MODULES).play(trials, play)
    return Measured(_figures(outcomes), {**provenance(outcomes), "answers": _answers(outcomes)})


def play(trial: str) -> dict[str, Any]:
    """One station and its images."""
    number, images = (int(word) for word in trial.split(":"))
    first = number * images
    with tempfile.TemporaryDirectory(prefix="lineside-images-") as name, alone(Path(name)) as station:
        warm = images // _WARM
        found = send(station, range(first, first + warm))
        before = station.resident_bytes()
        found += send(station, range(first + warm, first + images))
        after = station.resident_bytes() if station.child.running else 0
        alive = station.child.running and station.get("/ready")[0] == 200
        ends = int(not alive)
    return {
        "images": images,
        "answers": {f"{kind}: {status}": many for (kind, status), many in sorted(found.items())},
        "ends": ends,
        "grown_bytes": after - before,
        "resident_bytes": after,
    }


def send(station: Alone, numbers: range) -> Counter[tuple[str, str]]:
    """Answers by (kind of mutant, status); `none` where nobody answered, `sound refused` for what should be taken."""
    found: Counter[tuple[str, str]] = Counter()
    waiting, lock = iter(numbers), threading.Lock()

    def client() -> None:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", station.port, timeout=60)) as connection:
            for number in _shared(waiting, lock):
                made = mutant(number)
                status = _status(connection, made, number)
                found[made.kind, "sound refused" if made.sound and status == "422" else status] += 1

    clients = [threading.Thread(target=client) for _ in range(_CLIENTS)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    return found


def _shared(waiting: Iterator[int], lock: threading.Lock) -> Iterator[int]:
    while True:
        with lock:
            number = next(waiting, None)
        if number is None:
            return
        yield number


def _status(connection: http.client.HTTPConnection, made: Mutant, number: int) -> str:
    path = f"/v1/inspect?part_id=p-{number}&camera=cam-{number % 16}"
    try:
        connection.request("POST", path, made.data, {"Content-Type": made.content_type})
        answer = connection.getresponse()
        answer.read()
        return str(answer.status)
    except (OSError, http.client.HTTPException):
        connection.close()
        return "none"


def _answers(outcomes: Sequence[Outcome]) -> dict[str, int]:
    return dict(sum((Counter(outcome.found["answers"]) for outcome in outcomes), Counter()))


def _figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    images = sum(outcome.found["images"] for outcome in outcomes)
    by_status: Counter[str] = Counter()
    for name, many in _answers(outcomes).items():
        by_status[name.rpartition(": ")[2]] += many
    faults = sum(many for status, many in by_status.items() if status.startswith("5") or status == "none")
    note = ", ".join(f"{many} x {status}" for status, many in sorted(by_status.items()))
    grown = [outcome.found["grown_bytes"] for outcome in outcomes]
    return [
        Figure(name="images", value=images, note=note),
        Figure(name="images_crashes", value=sum(outcome.found["ends"] for outcome in outcomes), note=told(0, images)),
        Figure(name="images_5xx", value=faults, note="5xx, or nobody answered"),
        Figure(
            name="images_sound_refused", value=by_status["sound refused"], note="unchanged images without a verdict"
        ),
        Figure(
            name="images_memory",
            value=max(grown, default=None),
            unit="B",
            note=f"largest growth of a process from its first {100 // _WARM} % of the images on",
        ),
    ]
