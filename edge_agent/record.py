"""The record of verdicts: one row for each image, only ever added to, joined by part with what turned out later."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contracts.frame import Frame, Outcome, OutcomeSource, Verdict
from edge_agent.extract import EVERYTHING, Extract, csv_lines
from edge_agent.store import Store

_SEARCHED = 20_000  # rows that are looked at with one question
_SEARCH_SECONDS = 0.5


@dataclass(frozen=True)
class Entry:
    """A verdict, its number in the record, and the latest outcome of its part (None while unknown)."""

    number: int
    verdict: Verdict
    outcome: Outcome | None


class Record:
    """Verdicts and outcomes in the agent's database."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def append(self, verdicts: Sequence[tuple[Verdict, str | None]]) -> None:
        """Add verdicts, each with its source's reference; joins an open transaction."""
        now = datetime.now(UTC).timestamp()
        with self._store.transaction() as db:
            db.executemany(
                "INSERT INTO verdicts (part_id, camera, product, sequence, triggered_at, frame, decision, label,"
                " defect_score, threshold, scores, bundle_hash, latency_seconds, reason, reference,"
                " severity, box, review_from, thresholds_number, recorded_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(*_row(verdict, reference), now) for verdict, reference in verdicts],
            )

    def append_outcome(self, outcome: Outcome) -> None:
        """Add what was found out about a part; joins an open transaction."""
        with self._store.transaction() as db:
            db.execute(
                "INSERT INTO outcomes (part_id, camera, label, source, rater, decided_at) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    outcome.part_id,
                    outcome.camera,
                    outcome.label,
                    outcome.source.value,
                    outcome.rater,
                    outcome.decided_at.timestamp(),
                ),
            )

    def has(self, reference: str) -> bool:
        """Whether an image of that source's reference is on record."""
        return bool(self._store.rows("SELECT 1 FROM verdicts WHERE reference = ? LIMIT 1", (reference,)))

    def latest_of(self, part_id: str, camera: str | None = None) -> Entry | None:
        """The newest verdict on a part, or None."""
        found = self.entries(limit=1, part_id=part_id, camera=camera)
        return found[0] if found else None

    def entries(
        self, *, limit: int, before: int | None = None, part_id: str | None = None, camera: str | None = None
    ) -> list[Entry]:
        """The newest `limit` entries, newest first; `before` a number, of one part, of one camera where given."""
        where = ["1 = 1"]
        values: list[Any] = []
        for column, value in (("id < ?", before), ("part_id = ?", part_id), ("camera = ?", camera)):
            if value is not None:
                where.append(column)
                values.append(value)
        rows = self._store.rows(
            f"SELECT * FROM verdicts WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?",  # noqa: S608 - fixed words
            (*values, limit),
        )
        return [self._entry(row) for row in rows]

    def search(self, extract: Extract, *, limit: int, before: int | None = None) -> tuple[list[Entry], int | None]:
        """The newest entries of an extract, newest first, and the `before` of the next ones (None: that was all).

        It looks for half a second at most and in short pieces, so that the line never waits; what is found until then
        may be fewer than `limit`, or none.
        """
        last = int(self._store.rows("SELECT COALESCE(MAX(id), 0) AS last FROM verdicts")[0]["last"])
        found: list[Entry] = []
        start, until = min(before or last + 1, last + 1), time.monotonic() + _SEARCH_SECONDS
        words, values = extract.conditions()
        query = f"SELECT * FROM verdicts v WHERE v.id >= ? AND v.id < ?{words} ORDER BY v.id DESC LIMIT ?"  # noqa: S608
        while start > 1 and len(found) < limit and time.monotonic() < until:
            step = start if extract.part_id is not None else _SEARCHED  # parts have an index
            rows = self._store.rows(query, (start - step, start, *values, limit - len(found)))
            found += [self._entry(row) for row in rows]
            start = found[-1].number if len(found) == limit else max(start - step, 1)
        return found, start if start > 1 else None

    def csv_lines(self, extract: Extract = EVERYTHING, *, for_spreadsheets: bool = True) -> Iterator[str]:
        """An extract as CSV, oldest first, with a header; by default everything."""
        return csv_lines(self._store, extract, for_spreadsheets=for_spreadsheets)

    def last_sequences(self) -> dict[str, int]:
        """Camera -> sequence of its newest frame on record."""
        return {row["camera"]: row["last_sequence"] for row in self._store.rows("SELECT * FROM cameras")}

    def forget_before(self, moment: datetime) -> int:
        """Delete what was recorded earlier (retention); returns how many verdicts went, at most 5,000 at once."""
        self._store.forget_before("outcomes", "decided_at", moment.timestamp())
        return self._store.forget_before("verdicts", "recorded_at", moment.timestamp())

    def _entry(self, row: Any) -> Entry:
        return Entry(number=row["id"], verdict=_verdict(row), outcome=self._outcome(row["part_id"], row["camera"]))

    def _outcome(self, part_id: str, camera: str) -> Outcome | None:
        rows = self._store.rows(
            "SELECT * FROM outcomes WHERE part_id = ? AND (camera IS NULL OR camera = ?) ORDER BY id DESC LIMIT 1",
            (part_id, camera),
        )
        if not rows:
            return None
        row = rows[0]
        return Outcome(
            part_id=row["part_id"],
            label=row["label"],
            source=OutcomeSource(row["source"]),
            camera=row["camera"],
            rater=row["rater"],
            decided_at=datetime.fromtimestamp(row["decided_at"], UTC),
        )


def _row(verdict: Verdict, reference: str | None) -> tuple[Any, ...]:
    frame = verdict.frame
    return (
        frame.part_id,
        frame.camera,
        frame.product,
        frame.sequence,
        frame.triggered_at.timestamp(),
        frame.model_dump_json(exclude_defaults=True),
        verdict.decision.value,
        verdict.label,
        verdict.defect_score,
        verdict.threshold,
        json.dumps(verdict.scores),
        verdict.bundle_hash,
        verdict.latency_seconds,
        verdict.reason,
        reference,
        None if verdict.severity is None else verdict.severity.model_dump_json(),
        None if verdict.box is None else json.dumps(verdict.box),
        verdict.review_from,
        verdict.thresholds_number,
    )


def _verdict(row: Any) -> Verdict:
    return Verdict.model_validate(
        {
            "frame": Frame.model_validate_json(row["frame"]),
            "decision": row["decision"],
            "label": row["label"],
            "scores": json.loads(row["scores"]),
            "defect_score": row["defect_score"],
            "threshold": row["threshold"],
            "bundle_hash": row["bundle_hash"],
            "latency_seconds": row["latency_seconds"],
            "reason": row["reason"],
            "severity": None if row["severity"] is None else json.loads(row["severity"]),
            "box": None if row["box"] is None else json.loads(row["box"]),
            "review_from": row["review_from"],
            "thresholds_number": row["thresholds_number"],
        }
    )
