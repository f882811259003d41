"""A station's memory after large images."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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
