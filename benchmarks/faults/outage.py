"""Broker and monitor are away for 72 hours, time compressed: is all delivered afterwards, or counted as dropped?

Two cameras, a frame every 30 seconds of the frames' clock, a window a minute; the outbox may take half of what that
makes, so that it has to forget. The agent is killed three times meanwhile. The line stands outside and writes down
which frame was answered. Afterwards every frame on record must be in exactly one window of the monitor's store, merged
or not, and every message that an agent numbered must be there or under a tombstone. The outbox's rules alone run in
every test run: `tests/edge_agent/test_outbox.py`, `tests/edge_agent/test_uplink.py`.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from benchmarks.faults import told_agent
from benchmarks.faults.ledger import Ledger, Outcome, count, provenance
from benchmarks.faults.plant import SITE, MosquittoPlant, query, wait
from benchmarks.harness import Measured
from benchmarks.serving.servers import cpu_of
from contracts.report import Figure
from edge_agent.settings import (
    AgentSettings,
    BrokerSettings,
    BundleSettings,
    OutboxSettings,
    WebSettings,
    WindowSettings,
)
from lineside.plant import AGENT, Plant
from tests.simulators.monitored_plant import certified_bundle

HOURS, STEP_SECONDS = 72, 30
_MODULES = ("benchmarks.faults.outage", "benchmarks.faults.told_agent", "edge_agent.agent", "monitor.service")
_CAMERAS = ("cam-a", "cam-b")
_CAP_BYTES_AN_HOUR = 56_000  # 4 MB in all
_KILLS = 3
_MOST_UNANSWERED = 100  # frames
_PER_SECOND = 20.0  # of the line before and after
_PACED = 400  # frames of it, at least
_BLACK_EVERY, _BLACK = 1500, 10  # frames: a camera fault, which is an event


@dataclass
class TellingLine:
    """The agent's process and the outside ledger of its line. `answered` is (camera, number) of what is on record."""

    settings: Path
    log: Path
    started_at: float  # seconds since 1970, of the frames' clock
    sent: int = 0
    answered: set[tuple[str, int]] = field(default_factory=set)
    seconds: list[float] = field(default_factory=list)  # of paced frames, from sending to the answer
    _sent_at: dict[tuple[str, int], float] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None

    def start(self) -> float:
        """Start the agent; returns the processor's seconds until it inspects."""
        with self.log.open("ab") as log:
            words = [sys.executable, told_agent.__file__, str(self.settings)]
            self.process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1
            )
        answers = cast(IO[str], self.process.stdout)
        if not answers.readline().startswith("started"):
            raise RuntimeError(f"the agent did not start; see {self.log}")
        threading.Thread(target=self._listen, args=(answers,), daemon=True).start()
        return cpu_of(self.process.pid)

    def end(self, number: signal.Signals) -> None:
        """By a signal; frames without an answer are gone, or on record all the same."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(60)
        self._sent_at.clear()

    def send(self, frames: int, *, per_second: float | None = None) -> None:
        """The next frames, both cameras in turn; as fast as they are answered, or paced and timed."""
        for _ in range(frames):
            if per_second is not None:
                time.sleep(1.0 / per_second)
            wait(lambda: len(self._sent_at) < _MOST_UNANSWERED, "frames are answered")
            camera, number = _CAMERAS[self.sent % 2], self.sent // 2
            black = self.sent % _BLACK_EVERY < 2 * _BLACK and self.sent >= _BLACK_EVERY
            moment = self.started_at + STEP_SECONDS * number
            self._sent_at[camera, number] = time.monotonic() if per_second is not None else 0.0
            self.sent += 1
            cast(IO[str], cast(subprocess.Popen[str], self.process).stdin).write(
                f"{camera} {number} {moment} {0 if black else 90}\n"
            )

    def settle(self) -> None:
        """Until every frame is answered."""
        wait(lambda: not self._sent_at, "every frame is answered")

    def _listen(self, answers: IO[str]) -> None:
        for text in answers:
            if not text.endswith("\n"):  # a kill cut it short
                return
            camera, number = text.split()
            self.answered.add((camera, int(number)))
            began = self._sent_at.pop((camera, int(number)), 0.0)
            if began:
                self.seconds.append(time.monotonic() - began)


def measure(options: argparse.Namespace) -> Measured:
    """Three outages of 72 hours; one of 6 where `--quick`."""
    hours = 6 if options.quick else HOURS
    trials = [f"{hours}-hours-{number}" for number in range(count(options, all_of_them=3, quick=1))]
    outcomes = Ledger.of(options, "outage", *_MODULES).play(trials, play)
    details = provenance(outcomes) | {"outages": [outcome.found for outcome in outcomes]}
    return Measured(_figures(outcomes) if outcomes else [], details)


def play(trial: str) -> dict[str, Any]:
    """One outage."""
    hours, _, number = trial.split("-")
    with tempfile.TemporaryDirectory(prefix="lineside-outage-") as name:
        plant = MosquittoPlant.make(Path(name) / "plant", SITE)
        plant.init_registry()
        line = TellingLine(
            _settings(Path(name), plant, int(hours)), Path(name) / "agent.log", time.time() - 3600 * int(hours)
        )
        try:
            return _play(plant, line, int(hours), random.Random(int(number)))
        finally:
            line.end(signal.SIGKILL)
            plant.stop()


def _settings(folder: Path, plant: Plant, hours: int) -> Path:
    bundle = certified_bundle(folder / "bundle", site=SITE)
    settings = AgentSettings(
        site=SITE,
        agent=AGENT,
        state_folder=plant.folder / "agent",
        production=False,
        web=WebSettings(port=0),
        window=WindowSettings(seconds=60.0),
        outbox=OutboxSettings(max_bytes=hours * _CAP_BYTES_AN_HOUR),
        broker=BrokerSettings(port=plant.doors.broker_port, longest_wait_seconds=1.0),
        bundle=BundleSettings(path=bundle.path, hash=bundle.hash),
    )
    file = folder / "agent.json"
    file.write_text(settings.model_dump_json(), encoding="utf-8")
    return file


def _play(plant: Plant, line: TellingLine, hours: int, chance: random.Random) -> dict[str, Any]:
    plant.start_broker()
    plant.start_monitor({})
    boot = line.start()
    line.send(_PACED, per_second=_PER_SECOND)
    line.settle()
    before, line.seconds = line.seconds, []
    plant.children["broker"].kill()
    plant.children["monitor"].kill()
    largest, boot_full = _outage(plant, line, hours, chance)
    plant.restart("monitor")
    plant.restart("broker")
    back = datetime.now(UTC)
    drained, behind = _drain(plant, line, back)
    return {
        "boot_cpu_seconds": boot,
        "boot_full_cpu_seconds": boot_full,
        "over_cap": largest / (hours * _CAP_BYTES_AN_HOUR),
        "drained_seconds": drained,
        "p99_before_seconds": float(np.quantile(before, 0.99)),
        "p99_draining_seconds": float(np.quantile(line.seconds, 0.99)),
        "delay_seconds": _delay(plant, back),
        "judged_seconds": behind,
        **judged(plant, line),
    }


def _outage(plant: Plant, line: TellingLine, hours: int, chance: random.Random) -> tuple[int, float]:
    """(most bytes that waited, processor's seconds of the last start)."""
    frames = 2 * hours * 3600 // STEP_SECONDS
    cuts = sorted(chance.sample(range(1, frames), _KILLS))
    largest, boot = 0, 0.0
    for first, last in zip([0, *cuts], [*cuts, frames], strict=True):
        for start in range(first, last, 500):
            line.send(min(500, last - start))
            largest = max(largest, _waiting(plant)[1])
        if last < frames:
            line.end(signal.SIGKILL)
            boot = line.start()
    line.settle()
    return largest, boot


def _drain(plant: Plant, line: TellingLine, back: datetime) -> tuple[float, float]:
    """Send on at the line's pace until nothing waits any more that was made before that moment; (how long that took,
    seconds that the newest message which the rules had worked through was old meanwhile, at most)."""
    began, drained, behind = time.monotonic(), 0.0, 0.0
    while len(line.seconds) < _PACED or not drained:
        line.send(20, per_second=_PER_SECOND)
        if not drained:
            behind = max(behind, (datetime.now(UTC) - max(_judged_until(plant), back)).total_seconds())
        if not drained and _left(plant, back) == 0:
            drained = time.monotonic() - began
    line.settle()
    line.end(signal.SIGTERM)
    line.start()  # what was still open when it ended is sent by the next start
    wait(partial(_empty, plant), "everything is delivered")
    line.end(signal.SIGTERM)
    return drained, behind


def _left(plant: Plant, since: datetime) -> int:
    """Messages in the outbox that were made before that moment."""
    text = f"SELECT COUNT(*) FROM outbox WHERE made_at < {since.timestamp()}"  # noqa: S608
    return int(query(plant.folder / "agent" / "agent.sqlite", text)[0][0])


def _judged_until(plant: Plant) -> datetime:
    """When the newest message was made that the monitor's rules have worked through."""
    text = """SELECT MAX(m.sent_at) FROM messages m JOIN boots b USING (site, agent, boot)
        WHERE m.sequence <= b.processed"""
    return datetime.fromisoformat(query(plant.folder / "monitor" / "monitor.db", text)[0][0]).replace(tzinfo=UTC)


def _waiting(plant: Plant) -> tuple[int, int]:
    """Messages and bytes in the outbox."""
    found = query(plant.folder / "agent" / "agent.sqlite", "SELECT COUNT(*), COALESCE(SUM(bytes), 0) FROM outbox")
    return int(found[0][0]), int(found[0][1])


def _empty(plant: Plant) -> bool:
    monitor = plant.folder / "monitor" / "monitor.db"
    behind = query(monitor, "SELECT COUNT(*) FROM boots WHERE processed < contiguous")[0][0]
    return [behind, _waiting(plant)[0]] == [0, 0]


def _delay(plant: Plant, since: datetime) -> float:
    """Seconds from the making of a message to its arrival, at most, of those made after that moment."""
    rows = query(plant.folder / "monitor" / "monitor.db", "SELECT sent_at, received_at FROM messages")
    times = [tuple(datetime.fromisoformat(text).replace(tzinfo=UTC) for text in row) for row in rows]
    return max(((received - sent).total_seconds() for sent, received in times if sent > since), default=0.0)


def judged(plant: Plant, line: TellingLine) -> dict[str, Any]:
    """What is wrong between what the line was told, what is on record, what was numbered and what the monitor has."""
    agent, monitor = plant.folder / "agent" / "agent.sqlite", plant.folder / "monitor" / "monitor.db"
    on_record = {(camera, number) for camera, number in query(agent, "SELECT camera, sequence FROM verdicts")}
    open_now = sum(
        sum(json.loads(state)["decisions"].values()) for (state,) in query(agent, "SELECT state FROM open_windows")
    )
    windows = query(monitor, "SELECT camera, first_frame, last_frame, decisions FROM windows")
    summed = sum(sum(json.loads(decisions).values()) for *_, decisions in windows)
    times = Counter((camera, n) for camera, first, last, _ in windows for n in range(first, last + 1))
    newest = {camera: max(last for name, _, last, _ in windows if name == camera) for camera in _CAMERAS}
    produced = sum(last for (last,) in query(agent, "SELECT last_sequence FROM boots"))
    delivered = query(monitor, "SELECT COUNT(*) FROM messages WHERE kind != 'tombstone'")[0][0]
    dropped = query(monitor, "SELECT COALESCE(SUM(last - first + 1), 0) FROM tombstones")[0][0]
    return {
        "frames": len(on_record),
        "off_record": len(line.answered - on_record),
        "lost": sum(times[frame] == 0 for frame in on_record if frame[1] <= newest[frame[0]]),
        "twice": sum(many > 1 for many in times.values()),
        "sums_differ": abs(summed + open_now - len(on_record)),
        "produced": produced,
        "delivered": delivered,
        "dropped": dropped,
        "unaccounted": produced - delivered - dropped,
        "windows": len(windows),
    }


def _figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    found = [outcome.found for outcome in outcomes]

    def total(*names: str) -> int:
        return sum(each[name] for each in found for name in names)

    def most(name: str) -> float | None:
        return max((each[name] for each in found), default=None)

    ends = f"{total('delivered')} delivered, {total('dropped')} counted as dropped or merged"
    told = f"{total('produced')} messages produced, {ends}"
    slower = max((each["boot_full_cpu_seconds"] - each["boot_cpu_seconds"] for each in found), default=None)
    ratio = max((each["p99_draining_seconds"] / each["p99_before_seconds"] for each in found), default=None)
    return [
        Figure(
            name="outages", value=len(found), note=f"{HOURS} h, two cameras, a window a minute, {_KILLS} kills each"
        ),
        Figure(name="outage_unaccounted", value=sum(abs(each["unaccounted"]) for each in found), note=told),
        Figure(
            name="outage_images_lost",
            value=total("off_record", "lost", "twice", "sums_differ"),
            note=f"of {total('frames')} on record: in no window, in two, or missing in the sums",
        ),
        Figure(
            name="outage_over_cap",
            value=most("over_cap"),
            note="most bytes that waited, times the cap; it is enforced once a second, minutes of the compressed time",
        ),
        Figure(name="outage_boot_extra", value=slower, unit="s", note="processor time of a start with a full outbox"),
        Figure(name="outage_p99_draining", value=ratio, note="times the p99 before, from a frame to its record"),
        Figure(
            name="outage_drained",
            value=most("drained_seconds"),
            unit="s",
            note="until nothing of the outage waits; at most",
        ),
        Figure(
            name="outage_live_delay",
            value=most("delay_seconds"),
            unit="s",
            note="from a message's making to the monitor, of those made while the outbox drains; at most",
        ),
        Figure(
            name="outage_live_judged",
            value=max((each["judged_seconds"] for each in found if "judged_seconds" in each), default=None),
            unit="s",
            note="age of the newest message that the rules have worked through, while the outbox drains; at most",
        ),
    ]
