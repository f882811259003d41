"""A part of the record of verdicts, for people and their programs: which rows, and how they are written as CSV.

The record may hold a year. It is read in short pieces by number, so that the line never waits for a reader.
"""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contracts.frame import Decision
from edge_agent.store import Store

CSV_COLUMNS = (
    "part_id", "camera", "product", "sequence", "triggered_at", "decision", "label", "defect_score", "threshold",
    "scores", "bundle_hash", "latency_seconds", "reason", "outcome", "outcome_source", "outcome_rater",
    "outcome_decided_at", "severity", "box", "review_from", "thresholds_number",
)  # fmt: skip
MOMENTS = ("triggered_at", "outcome_decided_at")
_PIECE = 1000  # rows that are looked at with one question
_QUERY = """
SELECT v.*, o.label AS outcome, o.source AS outcome_source, o.rater AS outcome_rater, o.decided_at AS outcome_decided_at
FROM verdicts v LEFT JOIN outcomes o ON o.id = (
    SELECT max(id) FROM outcomes WHERE part_id = v.part_id AND (camera IS NULL OR camera = v.camera)
)
WHERE v.id > ? AND v.id <= ? {and_more} ORDER BY v.id
"""


@dataclass(frozen=True)
class Extract:
    """Which verdicts; None: all. `since` and `until` are moments of triggers, the second one excluded."""

    since: datetime | None = None
    until: datetime | None = None
    camera: str | None = None
    decision: Decision | None = None
    part_id: str | None = None

    def conditions(self) -> tuple[str, tuple[Any, ...]]:
        """As SQL (` AND ...`, fixed words) over the table `v`, and its values."""
        asked = {
            "v.triggered_at >= ?": None if self.since is None else self.since.timestamp(),
            "v.triggered_at < ?": None if self.until is None else self.until.timestamp(),
            "v.camera = ?": self.camera,
            "v.decision = ?": None if self.decision is None else self.decision.value,
            "v.part_id = ?": self.part_id,
        }
        said = {words: value for words, value in asked.items() if value is not None}
        return "".join(f" AND {words}" for words in said), tuple(said.values())


EVERYTHING = Extract()


def pieces(store: Store, extract: Extract) -> Iterator[list[sqlite3.Row]]:
    """The rows, each with its latest outcome, oldest first."""
    words, values = extract.conditions()
    query = _QUERY.format(and_more=words)
    bounds = store.rows("SELECT COALESCE(MIN(id), 1) AS first, COALESCE(MAX(id), 0) AS last FROM verdicts")[0]
    for start in range(bounds["first"] - 1, bounds["last"], _PIECE):
        rows = store.rows(query, (start, start + _PIECE, *values))
        if rows:
            yield rows


def csv_lines(store: Store, extract: Extract, *, for_spreadsheets: bool = True) -> Iterator[str]:
    """As CSV with a header, times in ISO 8601. `for_spreadsheets`: a text that one would take for a formula gets an
    apostrophe in front; programs want it as it is."""
    mark = _plain if for_spreadsheets else _same
    yield _line(CSV_COLUMNS, mark)
    for rows in pieces(store, extract):
        yield "".join(_line([_cell(row, column) for column in CSV_COLUMNS], mark) for row in rows)


def _cell(row: sqlite3.Row, column: str) -> Any:
    value = row[column]
    if column in MOMENTS and value is not None:
        return datetime.fromtimestamp(value, UTC).isoformat()
    return value


def _line(values: Sequence[Any], mark: Any) -> str:
    text = io.StringIO()
    csv.writer(text).writerow([mark(value) for value in values])
    return text.getvalue()


def _plain(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value


def _same(value: Any) -> Any:
    return value
