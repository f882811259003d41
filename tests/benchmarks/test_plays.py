"""Demos as parts of a benchmark: what is there is not played again, and one that fails leaves its log."""

from __future__ import annotations

from pathlib import Path

from benchmarks.plays import play, values_of
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
    found = play("seed-7", ["--no-such-option"], tmp_path, limit_seconds=1.0)
    assert values_of(found) == {"labels_used": 287}


def test_a_demo_that_fails_leaves_no_report_and_a_log(tmp_path: Path) -> None:
    assert play("seed-8", ["--no-such-option"], tmp_path, limit_seconds=60.0) is None
    assert "--no-such-option" in (tmp_path / "seed-8.log").read_text()


def test_a_demo_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    play("seed-9", ["--fast", "--seed", "9"], tmp_path, limit_seconds=2.0)
    assert "Traceback" not in (tmp_path / "seed-9.log").read_text()
