"""Retrains: an order that the governor gave becomes a process, its result a candidate, its failure a record.

The attempt's number is committed before its process starts, so no two processes ever share a folder. A process that
died by itself is tried again a few times, each after twice the wait; one that died with the machine or was stopped with
the monitor is started again at once; one that went beyond its time or memory is not.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from contracts.errors import BundleError, OrderError
from contracts.orders import Retrain
from monitor import timeline
from monitor.blobs import Blobs
from monitor.bundles import BundleShelf
from monitor.candidates import Candidates
from monitor.job_process import Limits
from monitor.label_manifest import write_manifest
from monitor.labels import labels_for_training
from monitor.retrain_order import WAITING
from monitor.rulebook import Rulebook
from monitor.rules.reason import Reason
from monitor.settings import RetrainSettings
from monitor.store.database import Store
from monitor.store.rollout_tables import RetrainRow
from monitor.trainer_process import Trainer

PEAK_STEP = 1.05
"""A new peak of memory is written down when it exceeds the last one by this factor."""

_log = logging.getLogger(__name__)


class Retraining:
    """The worker over retrains. `step` looks at each of them; `stop` ends what runs, to be started again later."""

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        shelf: BundleShelf,
        trainer: Trainer,
        candidates: Candidates,
        rulebook: Rulebook,
        settings: RetrainSettings,
    ) -> None:
        self._store, self._blobs, self._shelf, self._trainer = store, blobs, shelf, trainer
        self._candidates, self._rulebook, self._settings = candidates, rulebook, settings
        self._ours: set[str] = set()

    def step(self) -> bool:
        """Start what is queued, follow what runs; True when something changed."""
        with self._store.read() as session:
            rows = session.scalars(
                select(RetrainRow).where(
                    or_(
                        RetrainRow.state.in_(WAITING),
                        and_(RetrainRow.state == "cancelled", RetrainRow.ended_at.is_(None)),
                    )
                )
            ).all()
        now = datetime.now(UTC)
        changed = False
        for row in rows:
            if row.state == "cancelled":
                changed |= self._end_cancelled(row)
            elif row.state == "running":
                changed |= self._follow(row)
            elif row.retry_at is None or row.retry_at <= now:
                changed |= self._start(row)
        return changed

    def _end_cancelled(self, row: RetrainRow) -> bool:
        self._trainer.end(row.order_id, row.attempts)
        with self._store.write() as session:
            session.get_one(RetrainRow, row.order_id).ended_at = datetime.now(UTC)
        return True

    def stop(self) -> None:
        """End running processes on a clean shutdown; the attempt does not count."""
        with self._store.read() as session:
            rows = session.scalars(select(RetrainRow).where(RetrainRow.state == "running")).all()
        for row in rows:
            self._trainer.end(row.order_id, row.attempts)
            with self._store.write() as session:
                kept = session.get_one(RetrainRow, row.order_id)
                kept.state, kept.attempts = "queued", kept.attempts - 1

    def _start(self, row: RetrainRow) -> bool:
        with self._store.read() as session:
            labels = labels_for_training(session, site=row.site)
        order = Retrain.model_validate(row.body)
        order = order.model_copy(update={"labels_manifest": str(self._trainer.labels_path(row.order_id))})
        attempt = row.attempts + 1
        self._trainer.end(row.order_id, attempt)  # a process that was started but never recorded
        with self._store.write() as session:
            kept = session.get_one(RetrainRow, row.order_id)
            if kept.state != "queued":
                return True  # cancelled a moment ago
            kept.state, kept.attempts, kept.started_at, kept.retry_at = "running", attempt, datetime.now(UTC), None
            kept.body, kept.labels = order.model_dump(mode="json"), len(labels)
            self._note(session, kept, "retrain.started", labels=len(labels), attempt=attempt)
            self._tell(session, kept, "training", Reason(code="retrain.runs", parameters={"labels": len(labels)}))
        try:
            write_manifest(self._trainer.labels_path(row.order_id), labels, self._blobs)
            pid = self._trainer.start(order, attempt=attempt)
        except (OrderError, OSError) as error:
            self._fail(row.order_id, str(error), again=True)
            return True
        self._ours.add(row.order_id)
        with self._store.write() as session:
            session.get_one(RetrainRow, row.order_id).process = {"pid": pid}
        return True

    def _follow(self, row: RetrainRow) -> bool:
        running = self._trainer.running(row.order_id, row.attempts)
        self._record_progress(row)
        if running:
            seconds = (datetime.now(UTC) - (row.started_at or row.requested_at)).total_seconds()
            limits = Limits(self._settings.limit_seconds, self._settings.limit_bytes)
            why = limits.broken(seconds, lambda: self._watch_memory(row))
            return False if why is None else self._end(row, why)
        return self._collect(row)

    def _end(self, row: RetrainRow, why: str) -> bool:
        """It went beyond a limit, and would again."""
        self._trainer.end(row.order_id, row.attempts)
        self._fail(row.order_id, why)
        return True

    def _watch_memory(self, row: RetrainRow) -> int:
        used = self._trainer.used_bytes(row.order_id, row.attempts)
        if used > PEAK_STEP * (row.peak_bytes or 0):
            with self._store.write() as session:
                session.get_one(RetrainRow, row.order_id).peak_bytes = used
        return used

    def _record_progress(self, row: RetrainRow) -> None:
        line = self._trainer.progress(row.order_id, row.attempts)
        if line is not None and line != row.progress:
            with self._store.write() as session:
                session.get_one(RetrainRow, row.order_id).progress = line

    def _collect(self, row: RetrainRow) -> bool:
        try:
            bundle = self._shelf.take(self._trainer.result(row.order_id, row.attempts).path)
            if bundle.manifest.site != row.site:
                raise BundleError(f"the trainer made a bundle for site {bundle.manifest.site!r}, not {row.site!r}")
        except BundleError as error:
            if row.order_id not in self._ours and row.attempts < self._settings.attempts:
                return self._queue_again(row)
            self._fail(row.order_id, str(error), again=True)
            return True
        with self._store.write() as session:
            kept = session.get_one(RetrainRow, row.order_id)
            if kept.state != "running":
                return True  # cancelled a moment ago
            kept.state, kept.ended_at, kept.result = "done", datetime.now(UTC), bundle.hash
            self._note(session, kept, "retrain.done", seconds=_seconds(kept))
            try:
                self._candidates.submit(
                    session,
                    bundle,
                    origin="retrain",
                    reason=f"retrained on {kept.labels} labels",
                    submitted_by="governor",
                    order_id=kept.order_id,
                    incident_id=kept.incident_id,
                )
            except OrderError as error:
                self._record_failure(session, kept, str(error))
        return True

    def _queue_again(self, row: RetrainRow) -> bool:
        """Its process went away together with the monitor that had started it."""
        _log.warning("retrain %s is gone without a result; starting it again", row.order_id)
        with self._store.write() as session:
            session.get_one(RetrainRow, row.order_id).state = "queued"
        return True

    def _fail(self, order_id: str, why: str, *, again: bool = False) -> None:
        """It ended badly; with `again` it is tried again while there are tries left."""
        with self._store.write() as session:
            row = session.get_one(RetrainRow, order_id)
            if row.state != "running":
                return  # cancelled a moment ago
            if again and row.attempts <= self._settings.retries:
                self._try_again(session, row, why)
            else:
                self._record_failure(session, row, why)

    def _try_again(self, session: Session, row: RetrainRow, why: str) -> None:
        wait = timedelta(seconds=self._settings.retry_seconds * 2 ** (row.attempts - 1))
        row.state, row.retry_at = "queued", datetime.now(UTC) + wait
        self._note(session, row, "retrain.again", why=why, seconds=wait.total_seconds(), attempt=row.attempts + 1)

    def _record_failure(self, session: Session, row: RetrainRow, why: str) -> None:
        row.state, row.ended_at, row.result = "failed", datetime.now(UTC), why
        self._note(session, row, "retrain.failed", why=why)
        self._tell(session, row, "failed", Reason(code="retrain.ended-badly", parameters={"why": why[:300]}))

    def _tell(self, session: Session, row: RetrainRow, stage: Any, reason: Reason) -> None:
        if row.incident_id is not None:
            self._rulebook.tell_stage(
                session, row.site, incident_id=row.incident_id, stage=stage, reason=reason, bundle_hash=None
            )

    def _note(self, session: Session, row: RetrainRow, code: str, **parameters: Any) -> None:
        timeline.note(
            session,
            code,
            site=row.site,
            at=self._rulebook.clock(session, row.site),
            product=row.product,
            incident_id=row.incident_id,
            order_id=row.order_id,
            **parameters,
        )


def _seconds(row: RetrainRow) -> float:
    began = row.started_at or row.requested_at
    return round((datetime.now(UTC) - began).total_seconds(), 1)
