"""A benchmark's report: judged by its goals, with command, commit and machine, the failing figures first."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks.figures import main as show_figures
from benchmarks.harness import GOALS_FOLDER, Measured, Parts, main, measure_parts, run_benchmark, write_report
from benchmarks.readme import fill
from benchmarks.table import markdown_table, report_table
from contracts.errors import ConfigurationError
from contracts.report import Figure, Goal, Report, read_goals
from lineside.machine import describe_commit, describe_machine

GOALS = (
    '[[goal]]\nfigure = "slow"\ncomparison = "<="\nlimit = 1\n[[goal]]\nfigure = "fine"\ncomparison = ">="\nlimit = 1\n'
)


@pytest.fixture
def goals_folder(tmp_path: Path) -> Path:
    (tmp_path / "goals").mkdir()
    (tmp_path / "goals" / "example.toml").write_text(GOALS)
    return tmp_path / "goals"


def measure(options: argparse.Namespace) -> Measured:
    figures = [Figure(name="fine", value=2.0), Figure(name="free", value=3), Figure(name="slow", value=1.5, unit="s")]
    return Measured(figures, details={"quick": options.quick})


def report_of(goals_folder: Path, *, quick: bool = False) -> Report:
    ticks = iter([10.0, 12.5])
    options = argparse.Namespace(quick=quick)
    return run_benchmark(
        "example", measure, options, command="example", goals_folder=goals_folder, clock=lambda: next(ticks)
    )


def test_report_is_judged_by_the_goals_of_its_name(goals_folder: Path) -> None:
    report = report_of(goals_folder)
    assert {figure.name: figure.holds for figure in report.figures} == {"fine": True, "free": None, "slow": False}
    assert report.seconds == 2.5
    assert report.machine == describe_machine()
    assert report.commit == describe_commit()


def test_quick_run_satisfies_no_goal(goals_folder: Path) -> None:
    holds = [figure.holds for figure in report_of(goals_folder, quick=True).figures]
    assert holds == [False, None, False]


def test_figures_that_do_not_hold_come_first(goals_folder: Path) -> None:
    lines = report_table(report_of(goals_folder)).splitlines()[3:]
    assert [line.split()[0] for line in lines] == ["NO", "yes", "free"]


def test_command_line_writes_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "reports" / "out.json"
    main("no-goals-for-this", measure, arguments=["--quick", "--json", str(file)])
    report = Report.model_validate_json(file.read_bytes())
    assert report.quick
    assert report.details == {"quick": True}
    assert report.command == f"python -m benchmarks.no-goals-for-this --quick --json {file}"
    assert "fine" in capsys.readouterr().out
    assert list(file.parent.iterdir()) == [file]


def test_figures_command_fails_when_a_figure_does_not_hold(goals_folder: Path, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.json", tmp_path / "good.json"
    report = report_of(goals_folder)
    write_report(report, bad)
    write_report(report.model_copy(update={"figures": report.figures[:2]}), good)
    assert show_figures([str(bad), str(good)]) == 1
    assert show_figures([str(good)]) == 0


def test_figures_command_names_a_file_that_is_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.json").write_text("{}")
    assert show_figures([str(tmp_path / "x.json")]) == 2
    assert "x.json is not a report" in capsys.readouterr().err


def test_markdown_escapes_what_would_break_the_table() -> None:
    figure = Figure(name="x", value=None, note="a | b", goal=Goal(figure="x", comparison="<", limit=0.5), holds=False)
    report = Report(command="c", commit="d", machine={}, seconds=1, quick=True, figures=(figure,))
    assert r"| NO | x | not measured |  | < 0.5 | a \| b |" in markdown_table(report)


def test_marked_tables_are_made_from_the_report(goals_folder: Path, tmp_path: Path) -> None:
    write_report(report_of(goals_folder), tmp_path / "r.json")
    text = "before\n<!-- table: r.json slow fine -->\nstale\n<!-- end of table -->\nafter\n"
    filled = fill(text, tmp_path)
    assert filled.startswith("before\n<!-- table: r.json slow fine -->\n\n| holds |")
    assert filled.index("| slow |") < filled.index("| fine |")
    assert "stale" not in filled
    assert "| free |" not in filled
    assert fill(filled, tmp_path) == filled


def test_headlines_pick_single_figures_and_say_them_in_words(goals_folder: Path, tmp_path: Path) -> None:
    write_report(report_of(goals_folder), tmp_path / "r.json")
    chosen = "r.json slow: how slow it is\nr.json free: what is free\n"
    filled = fill(f"<!-- headlines:\n{chosen}-->\nstale\n<!-- end of headlines -->\n", tmp_path)
    slow, free = (
        next(line for line in filled.splitlines() if f"| {words} |" in line)
        for words in ("how slow it is", "what is free")
    )
    assert slow.endswith("| NO |")
    assert free.endswith("|  |  |")
    assert "stale" not in filled
    assert fill(filled, tmp_path) == filled


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- headlines:\nr.json missing: x\n-->\n<!-- end of headlines -->", "no figure 'missing'"),
        ("<!-- headlines:\nr.json slow\n-->\n<!-- end of headlines -->", "REPORT FIGURE: words"),
        ("<!-- headlines:\nr.json slow: x\n-->\n", "has no"),
        ("<!-- table: r.json missing -->\n<!-- end of table -->", "no figure 'missing'"),
        ("<!-- table: nowhere.json -->\n<!-- end of table -->", r"nowhere\.json"),
        ("<!-- table: r.json -->\n", "has no"),
    ],
)
def test_table_that_cannot_be_made_is_an_error(goals_folder: Path, tmp_path: Path, text: str, message: str) -> None:
    write_report(report_of(goals_folder), tmp_path / "r.json")
    with pytest.raises(ConfigurationError, match=message):
        fill(text, tmp_path)


@pytest.mark.parametrize("path", sorted(GOALS_FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_checked_in_goals_say_where_they_come_from(path: Path) -> None:
    goals = read_goals(path)
    assert goals
    assert all(goal.source for goal in goals)


def test_checked_in_reports_are_full_runs_judged_by_todays_goals() -> None:
    for path in sorted((GOALS_FOLDER.parent / "reports").glob("*.json")):
        report = Report.model_validate_json(path.read_bytes())
        assert not report.quick, path.name
        goals_file = GOALS_FOLDER / path.name.replace(".json", ".toml")
        if goals_file.exists():
            todays = {goal.figure: goal for goal in read_goals(goals_file)}
            assert {figure.name: figure.goal for figure in report.figures if figure.goal} == todays, path.name
        for figure in report.figures:
            assert figure.holds is (None if figure.goal is None else figure.goal.met_by(figure.value)), figure.name


def test_commit_says_when_tracked_files_were_changed_but_not_when_a_benchmark_wrote_its_results(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", tmp_path, *identity, *arguments], check=True, capture_output=True)

    assert describe_commit(tmp_path).startswith("version ")
    git("init", "-q")
    results = tmp_path / "benchmarks" / "results"
    results.mkdir(parents=True)
    for path in (tmp_path / "file", results / "trials.jsonl"):
        path.write_text("1")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    clean = describe_commit(tmp_path)
    assert len(clean) == 40
    (results / "trials.jsonl").write_text("2")
    assert describe_commit(tmp_path) == clean
    (tmp_path / "file").write_text("2")
    assert describe_commit(tmp_path) == clean + "-changed"


def test_describing_the_machine_imports_no_torch() -> None:
    code = "import json, sys, lineside.machine as m; print(json.dumps(['torch' in sys.modules, m.describe_machine()]))"
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    torch_imported, machine = json.loads(answer.stdout)
    assert not torch_imported
    assert machine["cores"] >= 1
    assert {"onnxruntime", "python", "sqlite", "flags", "memory_bytes"} <= machine.keys()


def part(name: str) -> Measured:
    return Measured([Figure(name=f"{name}_figure", value=1.0)], {"seen": name})


def test_all_parts_are_measured_in_order_unless_some_are_named() -> None:
    parts: Parts = {name: lambda _, name=name: part(name) for name in ("one", "other")}  # type: ignore[misc]
    both = measure_parts(parts, argparse.Namespace(only=None))
    assert [figure.name for figure in both.figures] == ["one_figure", "other_figure"]
    assert {name: both.details[name] for name in parts} == {"one": {"seen": "one"}, "other": {"seen": "other"}}
    alone = measure_parts(parts, argparse.Namespace(only=["other"]))
    assert [figure.name for figure in alone.figures] == ["other_figure"]


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, ["one_figure", "other_figure"]),
        ({"quick": True}, ["other_figure"]),
        ({"machine": {"processor": "another", "cores": 2}}, ["other_figure"]),
    ],
)
def test_a_part_measured_again_leaves_the_others_in_the_report(
    tmp_path: Path, changes: dict[str, Any], names: list[str]
) -> None:
    parts: Parts = {name: lambda _, name=name: part(name) for name in ("one", "other")}  # type: ignore[misc]
    options = argparse.Namespace(only=["one"], json=tmp_path / "r.json", quick=False)
    report = run_benchmark("example", partial(measure_parts, parts), options, command="c", goals_folder=tmp_path)
    before = report.details["parts"]["one"] | {"commit": "0123456789abcdef"}
    written = report.model_copy(update={"details": {**report.details, "parts": {"one": before}}, **changes})
    write_report(written, options.json)
    options.only = ["other"]
    again = run_benchmark("example", partial(measure_parts, parts), options, command="c", goals_folder=tmp_path)
    assert [figure.name for figure in again.figures] == names
    assert ("Measured before and kept: one at 0123456789ab." in markdown_table(again)) is (len(names) == 2)


def test_a_report_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("{}")
    options = argparse.Namespace(only=["one"], json=tmp_path / "r.json", quick=False)
    with pytest.raises(ConfigurationError, match=r"r\.json is no report"):
        measure_parts({"one": lambda _: part("one")}, options)
