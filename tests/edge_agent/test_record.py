"""The record: what was decided about every part, and what it turned out to be."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts.errors import ConfigurationError
from contracts.frame import Decision, Outcome, OutcomeSource
from edge_agent.extract import CSV_COLUMNS
from edge_agent.record import Record
from edge_agent.store import Store
from tests.simulators.captures import inspection

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def filled(store: Store, count: int = 3) -> Record:
    record = Record(store)
    record.append([(inspection(n).verdict, f"file-{n}") for n in range(count)])
    return record


def outcome(part_id: str, label: str, camera: str | None = None) -> Outcome:
    return Outcome(
        part_id=part_id, label=label, source=OutcomeSource.OPERATOR, camera=camera, rater="r-1", decided_at=NOW
    )


def test_verdicts_come_back_as_they_were(store: Store) -> None:
    verdicts = [inspection(0).verdict, inspection(1, vector=None).verdict, inspection(2, decision=Decision.NG).verdict]
    record = Record(store)
    record.append([(verdict, None) for verdict in verdicts])
    assert [entry.verdict for entry in record.entries(limit=9)] == verdicts[::-1]


def test_an_outcome_joins_its_part(store: Store) -> None:
    record = filled(store)
    record.append_outcome(outcome("cam-a-1", "scratch"))
    assert [entry.outcome and entry.outcome.label for entry in record.entries(limit=9)] == [None, "scratch", None]


def test_an_outcome_of_one_camera_says_nothing_about_another_view_of_the_part(store: Store) -> None:
    record = filled(store)
    record.append_outcome(outcome("cam-a-1", "scratch", camera="cam-b"))
    entry = record.latest_of("cam-a-1")
    assert entry is not None
    assert entry.outcome is None


def test_a_later_outcome_counts_and_the_earlier_one_stays_on_record(store: Store) -> None:
    record = filled(store)
    record.append_outcome(outcome("cam-a-1", "scratch"))
    record.append_outcome(outcome("cam-a-1", "stain"))
    entry = record.latest_of("cam-a-1")
    assert entry is not None
    assert entry.outcome == outcome("cam-a-1", "stain")
    assert len(store.rows("SELECT * FROM outcomes")) == 2


def test_pages_of_the_record_follow_each_other(store: Store) -> None:
    record = filled(store, 5)
    first = record.entries(limit=3)
    second = record.entries(limit=3, before=first[-1].number)
    assert [entry.verdict.frame.sequence for entry in (*first, *second)] == [4, 3, 2, 1, 0]


def test_a_source_can_ask_whether_its_image_is_on_record(store: Store) -> None:
    record = filled(store)
    assert record.has("file-2")
    assert not record.has("file-3")


def test_retention_deletes_old_verdicts_and_nothing_else(store: Store) -> None:
    record = filled(store)
    between = datetime.now(UTC)
    record.append([(inspection(3).verdict, None)])
    assert record.forget_before(between) == 3
    assert [entry.verdict.frame.sequence for entry in record.entries(limit=9)] == [3]


def test_retention_does_not_trust_the_clock_of_a_camera(store: Store) -> None:
    record = Record(store)
    record.append([(inspection(0, seconds=-1e9).verdict, None)])
    assert record.forget_before(datetime.now(UTC) - timedelta(days=1)) == 0


def test_the_csv_has_every_verdict_with_its_outcome(store: Store) -> None:
    record = filled(store, 2500)
    record.append_outcome(outcome("cam-a-7", "scratch"))
    rows = list(csv.DictReader("".join(record.csv_lines()).splitlines()))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [row["sequence"] for row in rows] == [str(n) for n in range(2500)]
    assert [row["part_id"] for row in rows if row["outcome"]] == ["cam-a-7"]


def test_a_label_cannot_become_a_formula_in_a_spreadsheet(store: Store) -> None:
    record = filled(store)
    record.append_outcome(outcome("cam-a-1", "=HYPERLINK(1)"))
    assert ",'=HYPERLINK(1)," in "".join(record.csv_lines())


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "agent.sqlite")
    store.rows("PRAGMA user_version = 99")
    store.close()
    with pytest.raises(ConfigurationError, match="newer version"):
        Store(tmp_path / "agent.sqlite")


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "agent.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(ConfigurationError, match=r"agent\.sqlite cannot be used"):
        Store(tmp_path / "agent.sqlite")
