"""The demo as CI plays it: short, and every chapter must come out as the story tells it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from contracts.report import Report

pytestmark = pytest.mark.alone
MOST_SECONDS = 900


@pytest.mark.timeout(MOST_SECONDS + 60)
def test_the_fast_demo_tells_its_whole_story(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    command = [sys.executable, "-m", "lineside", "demo", "--fast", "--no-stay", "--seed", "3", "--report", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=MOST_SECONDS, check=False)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    report = Report.model_validate_json(path.read_text(encoding="utf-8"))
    values = {figure.name: figure.value for figure in report.figures}
    assert values["false_drifts_before"] == 0
    assert values["tickets_for_dirt"] == 1
    assert values["retrains_for_dirt"] == 0
    assert values["refused_worse_candidate"] == 1
    assert values["withdrawn_bad_release"] == 1
    drifted, after = values["balanced_accuracy_drifted"], values["balanced_accuracy_after"]
    assert drifted is not None
    assert after is not None
    assert after > drifted + 0.1
    assert report.quick
    assert not any(figure.holds for figure in report.figures), "a quick run satisfies no goal"
