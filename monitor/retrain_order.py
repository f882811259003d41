"""The order that a decided retrain becomes: one row, which `retraining` carries out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from contracts.bundle import Manifest
from contracts.orders import Retrain
from monitor import timeline
from monitor.candidate_states import OPEN_STATES
from monitor.orders import new_id
from monitor.rules.governor import Jobs
from monitor.rules.reason import Reason
from monitor.store.rollout_tables import BundleRow, CandidateRow, RetrainRow

RETRAIN_VALID = timedelta(days=7)
WAITING = ("queued", "running")


def write_retrain(
    session: Session, *, site: str, parent_bundle: str, incident_id: str | None, reason: Reason
) -> RetrainRow:
    """Queue a retrain of the site's model."""
    manifest = Manifest.model_validate(session.get_one(BundleRow, parent_bundle).manifest)
    now = datetime.now(UTC)
    earlier = session.scalar(select(func.count()).select_from(RetrainRow).where(RetrainRow.site == site)) or 0
    order = Retrain(
        order_id=new_id("retrain"),
        issued_at=now,
        expires_at=now + RETRAIN_VALID,
        reason=timeline.plain(reason),
        site=site,
        product=manifest.product,
        parent_bundle=parent_bundle,
        base_snapshot=manifest.lineage.snapshot_hash,
        labels_manifest="",
        seed=earlier + 1,
        incident_id=incident_id,
    )
    row = RetrainRow(
        order_id=order.order_id,
        site=site,
        product=manifest.product,
        incident_id=incident_id,
        parent_bundle=parent_bundle,
        body=order.model_dump(mode="json"),
        state="queued",
        attempts=0,
        requested_at=now,
        labels=0,
    )
    session.add(row)
    return row


def jobs_of(session: Session, site: str, *, with_hours: bool) -> Jobs:
    """What trains now, for the governor. A retrain's candidate counts until it is decided about. Asked for with every
    window, so it is one query; `with_hours` costs another."""
    waiting = select(func.count()).select_from(RetrainRow).where(RetrainRow.state.in_(WAITING))
    on_its_way = (
        select(func.count())
        .select_from(CandidateRow)
        .where(CandidateRow.site == site, CandidateRow.origin == "retrain", CandidateRow.state.in_(OPEN_STATES))
    )
    here, everywhere, candidates = session.execute(
        select(
            waiting.where(RetrainRow.site == site).scalar_subquery(),
            waiting.scalar_subquery(),
            on_its_way.scalar_subquery(),
        )
    ).one()
    hours = _hours_this_week(session, site) if with_hours else 0.0
    return Jobs(here=here + candidates, everywhere=everywhere, hours_this_week=hours)


def _hours_this_week(session: Session, site: str) -> float:
    now = datetime.now(UTC)
    started = session.scalars(
        select(RetrainRow).where(RetrainRow.site == site, RetrainRow.started_at >= now - timedelta(days=7))
    )
    seconds = sum(((row.ended_at or now) - row.started_at).total_seconds() for row in started if row.started_at)
    return seconds / 3600.0
