"""Kill -9 of agent, broker and monitor in random order, at 50 messages a second: is anything lost or stored twice?

Each image is a window of its own, so a message. The line stands outside and writes down which part was answered under
which number; an answer says that the verdict is on disk. Afterwards the monitor's store must hold each of these numbers
in exactly one window. A round is a plant of its own with its share of the kills; three in four wait until what was
killed before is back, the others come while it starts. A few of them run in every test run:
`tests/journey/test_kills.py` and `tests/edge_agent/test_kill.py`.
"""

from __future__ import annotations

import argparse
import math
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.faults.ledger import Ledger, Outcome, count, provenance, told
from benchmarks.faults.line import Answer, Line
from benchmarks.faults.plant import is_up, query, running, wait
from benchmarks.harness import Measured
from contracts.report import Figure
from lineside.plant import Plant

KILLS_A_ROUND = 25
PER_SECOND = 50.0
_MODULES = ("benchmarks.faults.kills", "edge_agent.agent", "monitor.service")
_VICTIMS = ("agent", "broker", "monitor")
_CAMERA = "camera-1"
_PRODUCED = "SELECT boot, last_sequence FROM boots"
_LOST = ("lost", "off_record", "sums_differ", "messages_lost")
_TWICE = ("twice", "messages_twice")
_WRONG = (*_LOST, *_TWICE)
_WAITS = 0.75  # share of the kills before which everything is up


@dataclass(frozen=True)
class Span:
    """One window of the monitor's store: frames `first`..`last`, of which `images` were inspected."""

    first: int
    last: int
    images: int


def measure(options: argparse.Namespace) -> Measured:
    """1,000 kills, 25 a round; 10 where `--quick`."""
    rounds = count(options, all_of_them=1000 // KILLS_A_ROUND, quick=1)
    kills = 10 if options.quick else KILLS_A_ROUND
    trials = [f"round-{number}-of-{kills}" for number in range(rounds)]
    outcomes = Ledger.of(options, "kills", *_MODULES).play(trials, partial(play, evidence=options.folder / "kills"))
    details = {**provenance(outcomes), "killed": dict(_killed(outcomes))}
    return Measured(_figures(outcomes) if outcomes else [], details)


def play(trial: str, *, evidence: Path | None = None) -> dict[str, Any]:
    """One round. Where anything is lost or twice, what agent and monitor have on disk is kept under `evidence`."""
    _, number, _, kills = trial.split("-")
    with tempfile.TemporaryDirectory(prefix="lineside-kills-") as name:
        settings = {
            "window": {"images": 1},
            "web": {"camera": _CAMERA},
            "record": {"commit_images": 10},
            "outbox": {"max_bytes": 500_000_000},
            "broker": {"resend_seconds": 10.0, "longest_wait_seconds": 1.0},
        }
        with running(Path(name), settings) as plant:
            with Line(plant.doors.agent_port, per_second=PER_SECOND) as line:
                began = time.monotonic()
                killed = _kill(plant, line, int(kills), random.Random(int(number)))
                _all_up(plant)
                time.sleep(1.0)
                lasted = time.monotonic() - began
            settled = wait(lambda: _settled(plant), "everything is worked through", seconds=900.0)
            found = judged(line.answers, spans(plant), recorded(plant))
            found |= {"killed": dict(killed), "lasted_seconds": lasted, "settled_seconds": settled}
            found |= messages(plant)
        if evidence is not None and any(found[name] for name in _WRONG):
            shutil.copytree(plant.folder, evidence / trial, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock"))
        return found


def _kill(plant: Plant, line: Line, kills: int, chance: random.Random) -> Counter[str]:
    killed: Counter[str] = Counter()
    for _ in range(kills):
        if chance.random() < _WAITS:
            _all_up(plant)
            wait(partial(_answers_again, line, len(line.answers)), "parts are answered again")
        time.sleep(chance.uniform(0.1, 0.8))
        name = chance.choice(_VICTIMS)
        child = plant.children[name]
        child.kill()
        time.sleep(chance.uniform(0.0, 0.3))
        child.start()
        killed[name] += 1
    return killed


def _all_up(plant: Plant) -> None:
    for url in (plant.agent_url, plant.monitor_url):
        wait(partial(is_up, f"{url}/live"), f"{url} answers")


def _answers_again(line: Line, before: int) -> bool:
    return sum(answer.status == 200 for answer in line.answers[before:]) >= 5


def _settled(plant: Plant) -> bool:
    """Nothing waits at the agent, and the monitor has worked through what it has."""
    agent, monitor = databases(plant)
    behind = query(monitor, "SELECT COUNT(*) FROM boots WHERE processed < contiguous")[0][0]
    return [behind, *query(agent, "SELECT COUNT(*) FROM outbox")[0]] == [0, 0]


def databases(plant: Plant) -> tuple[Path, Path]:
    """Of agent and monitor."""
    return plant.folder / "agent" / "agent.sqlite", plant.folder / "monitor" / "monitor.db"


def spans(plant: Plant) -> list[Span]:
    """The windows of the line's camera that the monitor has."""
    text = f"SELECT first_frame, last_frame, images FROM windows WHERE camera = '{_CAMERA}'"  # noqa: S608
    return [Span(*row) for row in query(databases(plant)[1], text)]


def recorded(plant: Plant) -> list[int]:
    """The numbers on the agent's record."""
    text = f"SELECT sequence FROM verdicts WHERE camera = '{_CAMERA}'"  # noqa: S608
    return [row[0] for row in query(databases(plant)[0], text)]


def judged(answers: Sequence[Answer], found: Sequence[Span], on_record: Sequence[int]) -> dict[str, Any]:
    """What is wrong between what the line was told, what is on record and what the monitor has."""
    times = Counter(frame for span in found for frame in range(span.first, span.last + 1))
    answered = Counter(answer.sequence for answer in answers if answer.status == 200 and answer.sequence is not None)
    known = set(answered) | set(on_record)
    return {
        "sent": len(answers),
        "answered": answered.total(),
        "lost": sum(times[frame] == 0 for frame in known),
        "off_record": len(set(answered) - set(on_record)),
        "twice": sum(times[frame] > 1 for frame in times)
        + sum(many > 1 for many in answered.values())
        + len(on_record)
        - len(set(on_record)),
        "sums_differ": abs(sum(span.images for span in found) - len(on_record)),
    }


def messages(plant: Plant) -> dict[str, Any]:
    """Telemetry by message: what the agent's boots have produced, and what of it the monitor has once nothing waits
    any longer. The agent goes on meanwhile: an order that it has carried out a moment ago is under way, not lost."""
    agent, monitor = databases(plant)
    produced = dict(query(agent, _PRODUCED))
    wait(lambda: _settled(plant), "everything that was produced is worked through", seconds=900.0)
    stored = Counter(boot for (boot,) in query(monitor, "SELECT boot FROM messages"))
    by_now = dict(query(agent, _PRODUCED))
    return {
        "messages": sum(produced.values()),
        "messages_lost": sum(max(0, last - stored[boot]) for boot, last in produced.items()),
        "messages_twice": sum(max(0, many - by_now.get(boot, 0)) for boot, many in stored.items()),
    }


def _killed(outcomes: Sequence[Outcome]) -> Counter[str]:
    return sum((Counter(outcome.found["killed"]) for outcome in outcomes), Counter())


def _figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    def total(*names: str) -> float:
        return math.fsum(outcome.found[name] for outcome in outcomes for name in names)

    kills, by = _killed(outcomes).total(), _killed(outcomes)
    lost, twice = total(*_LOST), total(*_TWICE)
    rate = total("messages") / (total("lasted_seconds") or 1.0)
    of = f"{by['agent']} of the agent, {by['broker']} of Mosquitto, {by['monitor']} of the monitor"
    load = f"{total('answered'):.0f} answered parts, {total('messages'):.0f} messages"
    return [
        Figure(name="kills", value=kills, note=of),
        Figure(name="kills_lost", value=lost, note=f"{load}; kills that lost one: {told(_bad(outcomes), kills)}"),
        Figure(name="kills_twice", value=twice, note=f"stored twice or under a number used before; {load}"),
        Figure(
            name="kills_messages_per_second",
            value=round(rate, 1),
            unit="1/s",
            note=f"{PER_SECOND:g} offered, also while agent, broker or monitor is down",
        ),
    ]


def _bad(outcomes: Sequence[Outcome]) -> int:
    return sum(any(outcome.found[name] for name in _WRONG) for outcome in outcomes)
