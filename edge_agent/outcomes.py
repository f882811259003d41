"""What people and later tests say a part really was: onto the record and into the outbox, in one commit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from contracts.errors import DatasetError
from contracts.frame import Decision, Outcome, OutcomeSource, Verdict
from contracts.telemetry import Event, EventKind, OutcomeReport
from edge_agent.buffer import ImageBuffer
from edge_agent.outbox import Outbox
from edge_agent.record import Entry, Record
from edge_agent.store import Store


class Outcomes:
    """Takes outcomes of parts that are on record. `buffer` keeps the images of those that contradict the verdict."""

    def __init__(self, store: Store, record: Record, outbox: Outbox, buffer: ImageBuffer) -> None:
        self._store, self._record, self._outbox, self._buffer = store, record, outbox, buffer

    def find(self, part_id: str, camera: str | None) -> Entry:
        """The newest verdict on a part. Raises DatasetError where there is none."""
        entry = self._record.latest_of(part_id, camera)
        if entry is None:
            where = "" if camera is None else f" of camera {camera!r}"
            raise DatasetError(f"no verdict on part {part_id!r}{where} is on record; check the part id")
        return entry

    def add(self, entry: Entry, label: str, *, source: OutcomeSource, rater: str, camera: str | None) -> Outcome:
        """Record what the part was, and tell the monitor. Saying the same again changes nothing."""
        frame = entry.verdict.frame
        outcome = Outcome(
            part_id=frame.part_id, label=label, source=source, camera=camera, rater=rater, decided_at=datetime.now(UTC)
        )
        before = entry.outcome
        if before is not None and (before.label, before.source, before.rater) == (label, source, rater):
            return before
        with self._store.transaction():
            self._record.append_outcome(outcome)
            self._outbox.add(_event(entry.verdict, outcome))
        return outcome

    def keep_image(self, verdict: Verdict, label: str, good_labels: Sequence[str]) -> None:
        """Keep the image for labelling where what was said contradicts the verdict on it. Raises QuotaError."""
        confirmed = confirmed_label(verdict, good_labels)
        self._buffer.said(verdict, wrong=confirmed is not None and label != confirmed)


def confirmed_label(verdict: Verdict, good_labels: Sequence[str]) -> str | None:
    """The class that "the verdict is right" stands for: the likeliest one on the verdict's side; None where the
    verdict took no side."""
    if verdict.decision not in (Decision.OK, Decision.NG) or not verdict.scores:
        return None
    passes = verdict.decision is Decision.OK
    side = {label: score for label, score in verdict.scores.items() if (label in good_labels) is passes}
    return max(side, key=lambda label: side[label]) if side else verdict.label


def _event(verdict: Verdict, outcome: Outcome) -> Event:
    frame = verdict.frame
    report = OutcomeReport(
        outcome=outcome,
        camera=frame.camera,
        product=frame.product,
        bundle_hash=verdict.bundle_hash,
        decision=verdict.decision,
        label=verdict.label,
        triggered_at=frame.triggered_at,
    )
    return Event(
        event=EventKind.OUTCOME,
        at=outcome.decided_at,
        camera=frame.camera,
        product=frame.product,
        bundle_hash=verdict.bundle_hash,
        details=report.model_dump(mode="json"),
    )
