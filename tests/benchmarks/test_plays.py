"""Demos as parts of a benchmark: what is there is not played again, and one that fails leaves its log."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from benchmarks.plays import Stage, values_of
from contracts.report import Figure, Report
from lineside.machine import describe_machine


def test_a_report_of_an_earlier_run_is_taken(tmp_path: Path) -> None:
    report = Report(
        command="lineside demo",
        commit="0",
        machine=describe_machine(),
        seconds=1.0,
        quick=False,
        figures=(Figure(name="labels_used", value=287),),
    )
    (tmp_path / "seed-7.json").write_text(report.model_dump_json())
    found = Stage(tmp_path, limit_seconds=1.0).play("seed-7", ["--no-such-option"])
    assert values_of(found) == {"labels_used": 287}


def test_a_demo_that_fails_leaves_no_report_and_a_log(tmp_path: Path) -> None:
    assert Stage(tmp_path, limit_seconds=60.0).play("seed-8", ["--no-such-option"]) is None
    assert "--no-such-option" in (tmp_path / "seed-8.log").read_text()


def test_a_demo_that_takes_too_long_is_ended_and_counts(tmp_path: Path) -> None:
    report = Stage(tmp_path, limit_seconds=8.0).play("seed-9", ["--fast", "--seed", "9"])
    assert report is not None
    assert values_of(report)["wall_seconds"] is None


def test_an_interrupted_demo_is_played_again_next_time(tmp_path: Path) -> None:
    stage = Stage(tmp_path, limit_seconds=60.0)
    threading.Timer(8.0, stage.close).start()
    began = time.monotonic()
    plays = [("seed-1", ["--fast", "--seed", "9"]), ("seed-2", ["--fast", "--seed", "9"])]
    assert stage.play_all(plays) == [None, None]
    assert time.monotonic() - began < 60.0, "the second was not begun"
    assert not list(tmp_path.glob("*.json"))
