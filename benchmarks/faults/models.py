"""Ten kinds of bad models, twenty of each: is the old one back within 60 s by itself, and the bad one refused for good?

A station serves a sound model to a line when the signed channel names a bad one. The line stands outside and writes
down which bundle answered each part. Back means: the station refuses the bad hash, and the old bundle answers. The time
runs from the first part that the bad model leaves without a verdict; where there is none, from the moment that the
channel names it. Then the channel names it once more, and at the end of a round the agent is killed and started.
One kind at a time runs in every test run: `tests/edge_agent/test_bad_models.py`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.faults.bad_models import BRIGHT, KINDS, bad_bundle, good_bundle
from benchmarks.faults.ledger import Ledger, Outcome, count, provenance, told
from benchmarks.faults.line import GOOD, Answer, Line
from benchmarks.faults.plant import wait
from benchmarks.faults.station import Station, following
from benchmarks.harness import Measured
from contracts.report import Figure

A_KIND, A_ROUND = 20, 5
LIMIT_SECONDS, MOST_TRIES = 60.0, 3
_MODULES = ("benchmarks.faults.models", "edge_agent.agent")
_DELAYS = {"nan-on-the-line": 0.0, "hangs-on-the-line": 0.0, "crashes-after-30-s": 30.0}
"""Kinds that fail on bright parts, and for how long they serve before the line has any, each time."""
_PATIENCE_SECONDS = 300.0
_STATIONS = 3  # at once: they mostly wait
_PER_SECOND = 10.0


def measure(options: argparse.Namespace) -> Measured:
    """200 bad models, five to a round; one of each kind where `--quick`. `--trials` counts the rounds of each kind."""
    rounds = count(options, all_of_them=A_KIND // A_ROUND, quick=1)
    models = 1 if options.quick else A_ROUND
    trials = [f"{kind}:{number}:{models}" for number in range(rounds) for kind in KINDS]
    outcomes = Ledger.of(options, "models", *_MODULES).play(trials, play, at_once=_STATIONS)
    return Measured(_figures(outcomes) if outcomes else [], {**provenance(outcomes), "kinds": _kinds(outcomes)})


def play(trial: str) -> dict[str, Any]:
    """One round on one station."""
    kind, number, models = trial.split(":")
    with tempfile.TemporaryDirectory(prefix="lineside-models-") as name:
        folder = Path(name)
        good = good_bundle(folder / "good")
        with following(folder, good.path, good.hash) as station, Line(station.port, per_second=_PER_SECOND) as line:
            wait(lambda: (pointer := station.slots.pointer) and pointer.confirmed, "the first bundle is confirmed")
            first = int(number) * int(models)
            judged = [_judge(station, line, folder, kind, first + each, good.hash) for each in range(int(models))]
            station.child.kill()
            restarted = time.monotonic()
            wait(partial(_answers, line, good.hash, restarted), "the old bundle answers after a restart")
        return {"kind": kind, "models": judged}


def _judge(station: Station, line: Line, folder: Path, kind: str, number: int, old: str) -> dict[str, Any]:
    bad = bad_bundle(folder / f"{kind}-{number}", kind, number)
    published, ended = time.monotonic(), len(station.ends)
    station.publish(bad.path, bad.hash, f"{kind} {number}")
    refused = _until_refused(station, line, bad.hash, _DELAYS.get(kind), published)
    line.level = GOOD
    wait(partial(_answers, line, old, refused), "the old bundle answers")
    answers = [answer for answer in sorted(line.answers, key=lambda each: each.sent) if answer.sent > published]
    fault = min((answer.sent for answer in answers if answer.status != 200), default=published)
    by_bad = max((answer.sent for answer in answers if answer.bundle_hash == bad.hash), default=published)
    back = min(each.sent + each.seconds for each in answers if _is_by(each, old) and each.sent > max(refused, by_bad))
    again = station.publish(None, bad.hash, f"{kind} {number} again")
    wait(lambda: station.followed() >= again, "the channel is followed")
    return {
        "back_seconds": round(back - fault, 3),
        "tries": max(1, len(station.ends) - ended),
        "parts": len(answers),
        "served": sum(_is_by(answer, bad.hash) for answer in answers),
        "served_again": sum(answer.bundle_hash == bad.hash and answer.sent > back for answer in line.answers),
        "reason": station.slots.refused()[bad.hash],
    }


def _until_refused(station: Station, line: Line, bad: str, delay: float | None, published: float) -> float:
    """Play the line until the station refuses the bundle; returns when that was, monotonic."""

    def refused() -> bool:
        began = max([published, *station.ends])
        serving = [answer.sent for answer in line.answers if _is_by(answer, bad) and answer.sent > began]
        due = delay is not None and bool(serving) and time.monotonic() - min(serving) >= delay
        line.level = BRIGHT if due else GOOD
        return bad in station.slots.refused()

    wait(refused, f"bundle {bad[:12]} is refused", seconds=_PATIENCE_SECONDS)
    return time.monotonic()


def _answers(line: Line, bundle_hash: str, since: float) -> bool:
    return any(_is_by(answer, bundle_hash) and answer.sent > since for answer in reversed(line.answers))


def _is_by(answer: Answer, bundle_hash: str) -> bool:
    return answer.status == 200 and answer.bundle_hash == bundle_hash


def is_back(found: dict[str, Any]) -> bool:
    """Whether one bad model ended as it should."""
    return bool(found["back_seconds"] <= LIMIT_SECONDS and found["tries"] <= MOST_TRIES and not found["served_again"])


def _kinds(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """What happened to each kind."""
    found: dict[str, list[dict[str, Any]]] = {}
    for outcome in outcomes:
        found.setdefault(outcome.found["kind"], []).extend(outcome.found["models"])
    return {
        kind: {
            "models": len(models),
            "back": sum(map(is_back, models)),
            "slowest_seconds": max(each["back_seconds"] for each in models),
            "most_tries": max(each["tries"] for each in models),
            "reason": models[0]["reason"],
        }
        for kind, models in found.items()
    }


def _figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    models = [each for outcome in outcomes for each in outcome.found["models"]]
    back, kinds = sum(map(is_back, models)), {outcome.found["kind"] for outcome in outcomes}
    slowest = max((each["back_seconds"] for each in models), default=None)
    tries = max((each["tries"] for each in models), default=None)
    return [
        Figure(name="models", value=len(models), note=f"bad models of {len(kinds)} kinds"),
        Figure(name="models_not_back", value=len(models) - back, note=told(len(models) - back, len(models))),
        Figure(name="models_slowest_back", value=slowest, unit="s", note="the old bundle answers, the bad is refused"),
        Figure(name="models_most_tries", value=tries, note="starts with one bad model"),
    ]
