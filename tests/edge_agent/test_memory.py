"""A station's memory after large images, and when it is looked through."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from edge_agent.agent import run_agent
from edge_agent.memory import Sweeper
from runtime.bundle import Bundle
from tests.edge_agent.conftest import agent_settings

PROGRAM = """
import sys, threading
from PIL import Image
from edge_agent.memory import give_back_large_pieces

def resident():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS"))

if sys.argv[1] == "give back":
    give_back_large_pieces()
before = resident()
def look():
    Image.new("RGB", (5000, 5000), 1).resize((2500, 2500))

for _ in range(4):
    threads = [threading.Thread(target=look) for _ in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
print(resident() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc (Linux)")
def test_large_images_leave_nothing_behind() -> None:
    """As megabytes of growth; without the call the same images leave more than 60."""
    command = [sys.executable, "-c", PROGRAM, "give back"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 20


@dataclass
class Line:
    """Of a simulated time."""

    works: bool = True
    seconds: float = 0.0
    swept: list[float] = field(default_factory=list)

    def sweeper(self) -> Sweeper:
        return Sweeper(lambda: self.works, clock=lambda: self.seconds, collect=lambda: self.swept.append(self.seconds))


def test_all_is_looked_at_while_the_line_is_quiet_and_seldom_where_it_never_is() -> None:
    line = Line()
    sweeper = line.sweeper()
    for second in range(4000):
        line.seconds, line.works = float(second), second < 2000
        sweeper.sweep()
    assert line.swept == [900.0, 1800.0, *(2000.0 + 60 * number for number in range(34))]


def test_an_agent_is_not_stopped_by_a_full_collection_of_its_own(tmp_path: Path, small_bundle: Bundle) -> None:
    before, stop, full = gc.get_threshold(), threading.Event(), []

    def started(_: str) -> None:
        counted = gc.get_stats()[2]["collections"]
        gc.set_threshold(10, 1, gc.get_threshold()[2])  # the young are looked at all the time, as after many images
        kept = [[number] for number in range(100_000)]
        full.append(gc.get_stats()[2]["collections"] - counted)
        assert kept
        stop.set()

    try:
        agent = partial(run_agent, agent_settings(tmp_path, small_bundle), stop=stop, started=started)
        running = threading.Thread(target=agent)  # the signals stay with the tests
        running.start()
        running.join()
    finally:
        gc.set_threshold(*before)
    assert full == [0]
