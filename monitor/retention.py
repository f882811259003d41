"""Deleting what need not be kept: old telemetry, and images that no training and no gate uses, copies included.

The timeline, releases and labels stay.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from monitor.blobs import Blobs
from monitor.gold import pinned_blobs
from monitor.settings import RetentionSettings
from monitor.store.database import Store
from monitor.store.label_tables import ImageRow
from monitor.store.telemetry_tables import BootRow, MessageRow, WindowRow

_log = logging.getLogger(__name__)


class Retention:
    """`sweep` deletes what is due. `jobs`: where trainers got their own names of images."""

    def __init__(self, store: Store, blobs: Blobs, settings: RetentionSettings, *, jobs: Path) -> None:
        self._store, self._blobs, self._settings, self._jobs = store, blobs, settings, jobs

    def sweep(self) -> None:
        """Delete what is due now."""
        now = datetime.now(UTC)
        with self._store.write() as session:
            self._forget_messages(session, now - timedelta(days=self._settings.telemetry_days))
            oldest = now - timedelta(days=self._settings.window_days)
            session.execute(delete(WindowRow).where(WindowRow.ended_at < oldest))
        with self._store.write() as session:
            blobs = self._expire_images(session, now - timedelta(days=self._settings.image_days))
        for blob, image_id in blobs:
            self._blobs.remove(blob)
            for copy in self._jobs.glob(f"*/images/{image_id}.*"):
                copy.unlink(missing_ok=True)
        if blobs:
            _log.info("deleted %d images that were kept long enough", len(blobs))

    def _forget_messages(self, session: Session, before: datetime) -> None:
        """Only what is acknowledged and worked through; a repeat is recognised by the boot's acknowledged number."""
        for boot in session.scalars(select(BootRow).where(BootRow.first_seen_at < before)):
            session.execute(
                delete(MessageRow).where(
                    MessageRow.site == boot.site,
                    MessageRow.agent == boot.agent,
                    MessageRow.boot == boot.boot,
                    MessageRow.sequence <= boot.processed,
                    MessageRow.received_at < before,
                )
            )

    def _expire_images(self, session: Session, before: datetime) -> list[tuple[str, str]]:
        """(blob, image) of unanswered images that are too old; a blob that another image shares stays."""
        rows = session.scalars(
            select(ImageRow).where(ImageRow.state.in_(("queued", "expired")), ImageRow.received_at < before)
        ).all()
        pinned = pinned_blobs(session)
        freed = []
        for row in rows:
            row.state = "deleted"
            others = select(ImageRow.image_id).where(ImageRow.blob == row.blob, ImageRow.state != "deleted")
            if row.blob not in pinned and session.scalars(others).first() is None:
                freed.append((row.blob, row.image_id))
        return freed
