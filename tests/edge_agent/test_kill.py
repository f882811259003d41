"""kill -9 of the agent and of the broker, again and again: nothing that was recorded is lost, nothing counted twice."""

from __future__ import annotations

import itertools
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from contracts.telemetry import Window
from runtime.bundle import Bundle
from tests.edge_agent.conftest import wait_for
from tests.simulators import agent_program
from tests.simulators.agent_program import CAMERAS
from tests.simulators.listening_monitor import ListeningMonitor
from tests.simulators.mosquitto import Mosquitto
from tests.simulators.small_bundle import encoded, picture

KILLS = 200 if os.environ.get("LINESIDE_LONG") else 6
FILES = 20 * KILLS


class Killable:
    """The agent's process."""

    def __init__(self, folder: Path, port: int, bundle: Bundle) -> None:
        self._command = [sys.executable, agent_program.__file__, str(folder), str(port), str(bundle.path)]
        self._environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
        self._log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=log, env=self._environment)
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith(b"http"), self._log.read_text()

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.send_signal(number)
        self.process.stdout.close()
        return self.process.wait(30)


@pytest.fixture
def agent(tmp_path: Path, mosquitto: Mosquitto, small_bundle: Bundle) -> Iterator[Killable]:
    agent = Killable(tmp_path, mosquitto.port, small_bundle)
    yield agent
    if agent.process is not None and agent.process.poll() is None:
        agent.end(signal.SIGKILL)


@pytest.mark.timeout(7200)
def test_nothing_is_lost_and_nothing_doubled(tmp_path: Path, agent: Killable, mosquitto: Mosquitto) -> None:
    """6 kills of the agent, every other time of the broker too (200 with LINESIDE_LONG=1)."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for number in range(FILES):
        (inbox / f"file-{number}.png").write_bytes(encoded(picture(180, number)))
    monitor = ListeningMonitor(mosquitto.port)
    when = random.Random(7)
    agent.start()
    for kill in range(KILLS):
        time.sleep(when.uniform(0.3, 1.2))
        if kill % 2:
            mosquitto.kill()
        agent.end(signal.SIGKILL)
        agent.start()
        if kill % 2:
            mosquitto.start()
    time.sleep(1.0)
    (tmp_path / "enough").touch()
    wait_for(lambda: {path.name for path in inbox.iterdir()} == {"done", "unreadable"}, seconds=60)
    wait_for(lambda: waiting(tmp_path) == 0, seconds=60)
    assert agent.end(signal.SIGTERM) == 0
    monitor.close()
    check_numbers(monitor)
    check_windows(monitor.windows(), tmp_path)
    check_files(tmp_path)


def rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{folder}/agent/agent.sqlite?mode=ro", uri=True)) as db:
        return db.execute(query).fetchall()


def waiting(folder: Path) -> object:
    return rows(folder, "SELECT COUNT(*) FROM outbox")[0][0]


def check_numbers(monitor: ListeningMonitor) -> None:
    """Every boot's messages are there from 1 on, and none came twice with another content."""
    assert monitor.contradictions == []
    boots = Counter(boot for boot, _ in monitor.messages)
    assert {(boot, n) for boot, count in boots.items() for n in range(1, count + 1)} == set(monitor.messages)


def check_windows(windows: list[Window], folder: Path) -> None:
    """Each camera's windows follow each other and claim exactly what is on record; the rest is reported as dropped."""
    taken = (folder / "taken").read_text().split()
    lost = 0
    for camera in CAMERAS:
        own = sorted((w for w in windows if w.camera == camera), key=lambda w: w.first_frame)
        recorded = [n for (n,) in rows(folder, f"SELECT sequence FROM verdicts WHERE camera = '{camera}'")]  # noqa: S608
        assert len(recorded) == len(set(recorded))
        assert all(a.last_frame < b.first_frame for a, b in itertools.pairwise(own))
        for window in own:
            claimed = [n for n in recorded if isinstance(n, int) and window.first_frame <= n <= window.last_frame]
            assert len(claimed) == sum(window.decisions.values()) == window.images == 25
        last = own[-1].last_frame
        assert sum(w.images + w.dropped_images for w in own) == last + 1
        lost += sum(line.rpartition("-")[0] == camera for line in taken) - len(recorded)
    assert len(windows) > 10
    assert 0 <= lost <= 12 * KILLS


def check_files(folder: Path) -> None:
    """Every file was inspected exactly once."""
    counts = Counter(part for (part,) in rows(folder, "SELECT part_id FROM verdicts WHERE camera = 'inbox'"))
    assert counts == {f"file-{number}": 1 for number in range(FILES)}
    assert len(list((folder / "inbox" / "done").iterdir())) == FILES


def test_sigterm_commits_what_was_inspected_and_ends_in_order(
    tmp_path: Path, agent: Killable, mosquitto: Mosquitto
) -> None:
    monitor = ListeningMonitor(mosquitto.port)
    agent.start()
    monitor.wait(lambda m: len(m.windows()) >= 2)
    assert agent.end(signal.SIGTERM) == 0
    monitor.wait(lambda m: not m.statuses[-1].online)
    monitor.close()
    taken = (tmp_path / "taken").read_text().split()
    recorded = {part for (part,) in rows(tmp_path, "SELECT part_id FROM verdicts")}
    assert set(taken) - recorded == set()
