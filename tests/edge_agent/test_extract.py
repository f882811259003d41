"""Parts of the record: by time, camera, verdict and part; as CSV and Parquet, from an agent that runs or does not."""

from __future__ import annotations

import csv
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.frame import Decision
from edge_agent.agent import Agent
from edge_agent.extract import EVERYTHING, Extract
from edge_agent.parquet import write_parquet
from edge_agent.record import Record
from edge_agent.store import Store
from edge_agent.web.errors import Refusal
from edge_agent.web.verdicts import asked
from lineside.main import app
from lineside.toml import write_toml
from tests.edge_agent.conftest import MakeAgent
from tests.edge_agent.test_web_inspect import ask, inspect
from tests.simulators.captures import inspection
from tests.simulators.small_bundle import encoded, picture


@pytest.fixture
def record(store: Store) -> Record:
    """Three cameras' verdicts; every third is NG."""
    record = Record(store)
    record.append(
        [
            (inspection(n, camera=f"cam-{n % 3}", decision=Decision.NG if n % 3 == 0 else Decision.OK).verdict, None)
            for n in range(2500)
        ]
    )
    return record


def parts(record: Record, extract: Extract) -> list[str]:
    rows = csv.DictReader("".join(record.csv_lines(extract)).splitlines())
    return [row["part_id"] for row in rows]


def test_an_extract_holds_what_was_asked_for_and_nothing_else(record: Record) -> None:
    newest = record.entries(limit=1)[0].verdict.frame.triggered_at
    middle = record.entries(limit=1, part_id="cam-1-1000")[0].verdict.frame.triggered_at
    assert len(parts(record, EVERYTHING)) == 2500
    assert parts(record, Extract(part_id="cam-1-1000")) == ["cam-1-1000"]
    assert len(parts(record, Extract(decision=Decision.NG))) == 834
    assert len(parts(record, Extract(camera="cam-1", decision=Decision.NG))) == 0
    early, late = parts(record, Extract(until=middle)), parts(record, Extract(since=middle))
    assert early + late == parts(record, EVERYTHING)
    assert late[0] == "cam-1-1000"
    assert parts(record, Extract(since=newest + timedelta(seconds=1))) == []


def test_a_search_comes_in_pages_from_the_newest_on(record: Record) -> None:
    first, before = record.search(Extract(camera="cam-0"), limit=500)
    second, end = record.search(Extract(camera="cam-0"), limit=500, before=before)
    assert [entry.verdict.frame.part_id for entry in first[:2]] == ["cam-0-2499", "cam-0-2496"]
    assert len(first) + len(second) == 834
    assert end is None
    assert not {entry.number for entry in first} & {entry.number for entry in second}


def test_a_search_that_finds_little_gives_the_line_back_and_can_go_on(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.record._SEARCHED", 100)
    monkeypatch.setattr("edge_agent.record._SEARCH_SECONDS", 0.0)
    found, before = record.search(Extract(camera="nobody"), limit=10)
    assert (found, before) == ([], 2501), "no time: where it began"
    monkeypatch.setattr("edge_agent.record._SEARCH_SECONDS", 60.0)
    assert record.search(Extract(camera="nobody"), limit=10) == ([], None)


def test_what_a_form_leaves_empty_is_not_asked_and_nonsense_is_explained() -> None:
    assert asked(since="", until="", camera="", decision="", part_id="") == EVERYTHING
    assert asked(decision="NG").decision is Decision.NG
    with pytest.raises(Refusal, match="since"):
        asked(since="yesterday")


def test_programs_get_texts_as_they_are_recorded(store: Store) -> None:
    record = Record(store)
    record.append([(inspection(1).verdict.model_copy(update={"reason": "=1+1"}), None)])
    assert "'=1+1" in "".join(record.csv_lines())
    assert "'=1+1" not in "".join(record.csv_lines(for_spreadsheets=False))


@pytest.mark.optional
def test_parquet_holds_the_same_rows_with_types(record: Record, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (extra [parquet])")
    assert write_parquet(record.csv_lines(for_spreadsheets=False), tmp_path / "r.parquet") == 2500
    table = parquet.read_table(tmp_path / "r.parquet")
    row = table.slice(1000, 1).to_pylist()[0]
    verdict = record.entries(limit=1, part_id=row["part_id"])[0].verdict
    assert row["triggered_at"] == verdict.frame.triggered_at.astimezone(UTC)
    assert (row["defect_score"], row["sequence"], row["outcome"]) == (verdict.defect_score, 1000, None)


def export(config: Path, out: Path, *words: str) -> tuple[int, str]:
    told = CliRunner().invoke(app, ["agent", "records", "export", str(out), "--config", str(config), *words])
    return told.exit_code, " ".join(told.output.split())


@pytest.fixture
def station(make_agent: MakeAgent, tmp_path: Path) -> tuple[Agent, Path]:
    """An agent that has seen two parts, and its settings."""
    agent = make_agent()
    for part, level in (("p-1", 80), ("p-2", 200)):
        inspect(agent, encoded(picture(level)), f"?part_id={part}")
    values = {"site": "plant", "agent": "agent-1", "state_folder": agent.settings.state_folder}
    config = write_toml(tmp_path / "a.toml", {**values, "web": {"port": int(agent.url.rpartition(":")[2])}})
    return agent, config


def test_the_command_exports_whether_the_agent_runs_or_not(station: tuple[Agent, Path], tmp_path: Path) -> None:
    agent, config = station
    assert export(config, tmp_path / "1.csv", "--verdict", "NG")[0] == 0
    running = (tmp_path / "1.csv").read_text()
    assert [row["part_id"] for row in csv.DictReader(running.splitlines())] == ["p-2"]
    assert "0 verdicts" in export(config, tmp_path / "2.csv", "--to", "2020-01-01")[1]
    status, text = export(config, tmp_path / "missing" / "3.csv")
    assert (status, "cannot write" in text) == (1, True)
    agent.close()
    assert export(config, tmp_path / "1.csv", "--verdict", "NG")[0] == 0
    assert (tmp_path / "1.csv").read_text() == running


def test_parquet_without_pyarrow_says_how_to_get_it(
    station: tuple[Agent, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    status, text = export(station[1], tmp_path / "1.parquet", "--format", "parquet")
    assert status == 1
    assert "[parquet]" in text
    assert list(tmp_path.glob("*.parquet*")) == []


def test_the_page_finds_a_part_and_hands_out_what_it_shows(station: tuple[Agent, Path]) -> None:
    agent = station[0]
    html = ask(agent, "GET", "/records?part_id=p-1&lang=en")[1]
    assert ">p-1</td>" in html
    assert ">p-2</td>" not in html
    text = ask(agent, "GET", "/v1/verdicts.csv?part_id=p-1&camera=&decision=&since=&until=&lang=en")[1]
    assert len(text.strip().splitlines()) == 2
    assert ask(agent, "GET", "/records?since=nonsense")[0] == 422
    moment = (datetime.now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    assert "Kein Urteil" in ask(agent, "GET", f"/records?since={moment}&lang=de")[1]
