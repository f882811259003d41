"""`lineside start` on a user's own sixty pictures: from a folder to verdicts, and what it says about so few images."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from lineside.line import Conditions, SimulatedLine
from lineside.process import free_port

pytestmark = pytest.mark.alone
MOST_SECONDS = 500


def _write_pictures(folder: Path) -> list[str]:
    """Thirty good and thirty bad pictures, four in the inbox; returns the decisions expected there."""
    line, conditions = SimulatedLine(7, ("cam",)), Conditions(product="cap", defect_rate=0.5)
    wanted = {"good": 30, "bad": 30}
    while any(wanted.values()):
        part = line.next_part("cam", conditions)
        label = "good" if part.label == "good" else "bad"
        if wanted[label]:
            wanted[label] -= 1
            (folder / label).mkdir(parents=True, exist_ok=True)
            Image.fromarray(part.image).save(folder / label / f"{part.part_id}.png")
    (folder / "inbox").mkdir()
    for number in range(4):
        part = line.next_part("cam", Conditions(product="cap", defect_rate=float(number % 2)))
        Image.fromarray(part.image).save(folder / "inbox" / f"new-{number}.png")
    return [f"{'NG' if number % 2 else 'OK'} new-{number}" for number in range(4)]


@pytest.mark.timeout(MOST_SECONDS + 60)
def test_a_users_pictures_become_verdicts_on_new_ones(tmp_path: Path) -> None:
    expected = _write_pictures(tmp_path / "mine")
    (tmp_path / "mine" / "inbox" / "junk.png").write_bytes(b"junk")
    command = [sys.executable, "-m", "lineside", "start", str(tmp_path / "mine"), "--once", "--threads", "1"]
    command += ["--port", str(free_port())]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=MOST_SECONDS, check=False)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    said = [" ".join(line.split()[:2]) for line in ended.stdout.splitlines() if "new-" in line]
    assert sum(line in said for line in expected) >= 3, ended.stdout
    assert "NO_VERDICT junk" in " ".join(ended.stdout.split())
    assert "cannot promise" in ended.stdout


def test_a_folder_with_one_class_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    for number in range(3):
        Image.new("RGB", (40, 40), (number, 0, 0)).save(tmp_path / "good" / f"{number}.png")
    command = [sys.executable, "-m", "lineside", "start", str(tmp_path), "--once"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert "at least two are needed" in ended.stderr
