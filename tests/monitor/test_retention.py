"""Retention: what need not be kept goes, copies included; what is still needed stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from contracts.errors import LinkError
from contracts.frame import Decision, Frame, OutcomeSource, Verdict
from contracts.telemetry import topic
from contracts.upload import ImageUpload
from monitor import labels, ratings
from monitor.blobs import Blobs
from monitor.ingest import Arrival, Ingest
from monitor.ratings import Answer
from monitor.retention import Retention
from monitor.settings import LabelSettings, RetentionSettings
from monitor.store import Store
from monitor.store.label_tables import ImageRow
from monitor.store.telemetry_tables import BootRow, MessageRow
from tests.monitor.telemetry import envelope, window

NOW = datetime.now(UTC)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(str(tmp_path / "blobs"))


@pytest.fixture
def retention(store: Store, blobs: Blobs, tmp_path: Path) -> Retention:
    settings = RetentionSettings(telemetry_days=30.0, image_days=10.0)
    return Retention(store, blobs, settings, jobs=tmp_path / "jobs")


def accept(store: Store, blobs: Blobs, part: str, age_days: float) -> tuple[str, str]:
    blob = blobs.write(f"picture of {part}".encode())
    frame = Frame(part_id=part, sequence=1, triggered_at=NOW)
    verdict = Verdict(frame=frame, decision=Decision.OK, label="good", bundle_hash="a" * 64)
    described = ImageUpload(site="mono", agent="agent-1", source=OutcomeSource.AUDIT, verdict=verdict)
    with store.write() as session:
        image_id = labels.accept_image(
            session, described, blob=blob, size_bytes=1, media_type="image/png", at=NOW - timedelta(days=age_days)
        )
    return image_id or "", blob


def test_old_unanswered_images_go_with_their_copies_and_labelled_ones_stay(
    store: Store, blobs: Blobs, retention: Retention, tmp_path: Path
) -> None:
    old, old_blob = accept(store, blobs, "old", 11)
    used, used_blob = accept(store, blobs, "used", 11)
    _, new_blob = accept(store, blobs, "new", 9)
    copies = tmp_path / "jobs" / "retrain-1" / "images"
    copies.mkdir(parents=True)
    for image_id in (old, used):
        (copies / f"{image_id}.png").write_bytes(b"copy")
    with store.write() as session:
        ratings.rate(session, Answer(used, "good", "r"), at=NOW, settings=LabelSettings(), people=0)
    retention.sweep()
    with pytest.raises(LinkError, match="cannot be read"):
        blobs.read(old_blob)
    assert blobs.read(used_blob) == b"picture of used"
    assert blobs.read(new_blob) == b"picture of new"
    assert [file.stem for file in copies.iterdir()] == [used]
    with store.read() as session:
        assert session.get_one(ImageRow, old).state == "deleted"


def test_old_telemetry_goes_once_it_was_worked_through_and_is_still_recognised(
    store: Store, retention: Retention
) -> None:
    ingest = Ingest(store, sites=["mono"])

    def arrival(sequence: int) -> Arrival:
        payload = envelope(sequence, window(sequence)).model_dump_json().encode()
        return Arrival(topic("mono", "agent-1", "telemetry"), payload, NOW - timedelta(days=31))

    ingest.commit([arrival(1), arrival(2), arrival(3)])
    with store.write() as session:
        session.get_one(BootRow, ("mono", "agent-1", "boot-1")).processed = 2
    retention.sweep()
    with store.read() as session:
        assert session.scalars(select(MessageRow.sequence)).all() == [3]
    [(_, ack)] = ingest.commit([arrival(1), arrival(2)])
    assert ack.sequence == 3
    with store.read() as session:
        assert session.scalars(select(MessageRow.sequence)).all() == [3]
