"""Accuracy without labels, for the camera's page alone: no rule reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts.certificate import TaskMetrics
from contracts.telemetry import Histogram
from drift.labelfree import ThresholdedConfidence, together
from monitor.store.rollout_tables import BundleRow
from monitor.store.rule_tables import CameraRow
from monitor.store.telemetry_tables import MessageRow, WindowRow

_KNOWN_WINDOWS = 300
_RECENT_WINDOWS = 20
_IN_CONTROL = "OK"


@dataclass(frozen=True)
class Estimate:
    """`accuracy` 0..1 over the last windows; None while it is void: the camera's state is not OK, or it is
    faulty."""

    accuracy: float | None
    windows: int


def estimated_accuracy(session: Session, row: CameraRow) -> Estimate | None:
    """None where it cannot be estimated: still learning, or the test results or the learned windows are gone."""
    known = together(_histograms(session, row, learning=True, most=_KNOWN_WINDOWS))
    accuracy = _tested_accuracy(session.get(BundleRow, row.bundle_hash))
    if known is None or not sum(known.counts) or accuracy is None or row.state == "LEARNING":
        return None
    if row.state != _IN_CONTROL or row.fault is not None:
        return Estimate(None, 0)
    recent = _histograms(session, row, learning=False, most=_RECENT_WINDOWS)
    seen = together(recent)
    if seen is None:
        return None
    return Estimate(ThresholdedConfidence.of(known, accuracy).accuracy(seen), len(recent))


def _tested_accuracy(bundle: BundleRow | None) -> float | None:
    """How often the answered class was right on the test images, which is what confidence speaks of."""
    if bundle is None:
        return None
    confusion = TaskMetrics.model_validate(bundle.manifest["test_metrics"]).confusion
    images = sum(sum(row.values()) for row in confusion.values())
    return sum(row.get(label, 0) for label, row in confusion.items()) / images if images else None


def _histograms(session: Session, row: CameraRow, *, learning: bool, most: int) -> Sequence[Histogram]:
    """Confidences of the newest `most` windows under this bundle, those of commissioning or those after it."""
    state = WindowRow.state == "LEARNING"
    bodies = session.scalars(
        select(MessageRow.body)
        .join(WindowRow, WindowRow.message_id == MessageRow.id)
        .where(
            WindowRow.site == row.site,
            WindowRow.agent == row.agent,
            WindowRow.camera == row.camera,
            WindowRow.product == row.product,
            WindowRow.bundle_hash == row.bundle_hash,
            state if learning else ~state,
        )
        .order_by(WindowRow.ended_at.desc())
        .limit(most)
    )
    return [Histogram.model_validate(body["confidence"]) for body in bodies]
