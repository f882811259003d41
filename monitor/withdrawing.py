"""A release that turned out wrong is left for an earlier one."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from monitor import releases, timeline
from monitor.rules.action import Withdraw
from monitor.rules.reason import Reason
from monitor.store.rollout_tables import CandidateRow, ReleaseRow


def withdraw_by_rule(session: Session, site: str, action: Withdraw, *, at: datetime) -> ReleaseRow | None:
    """What the rules decided; None, and a line that says so, where there is nothing to go back to any more."""
    left = releases.active_release(session, site)
    to = session.scalars(
        select(ReleaseRow)
        .where(ReleaseRow.site == site, ReleaseRow.bundle_hash == action.to)
        .order_by(ReleaseRow.number.desc())
    ).first()
    if left is None or left.bundle_hash != action.bundle_hash or to is None:
        why = timeline.plain(action.reason)
        timeline.note(session, "release.cannot-withdraw", site=site, at=at, bundle_hash=action.bundle_hash, why=why)
        return None
    return withdraw(session, left, to, action.reason, at=at)


def withdraw(session: Session, left: ReleaseRow, to: ReleaseRow, reason: Reason, *, at: datetime) -> ReleaseRow:
    """Back to an earlier release; the one that is left never runs at the site again."""
    why = timeline.plain(reason)
    releases.go_back(session, to, reason=f"release {left.number} withdrawn: {why}", at=at, refuse=True)
    for row in session.scalars(
        select(CandidateRow).where(CandidateRow.site == left.site, CandidateRow.release_number == left.number)
    ):
        row.state, row.closed_at, row.closing = "withdrawn", datetime.now(UTC), why
    timeline.note(
        session,
        "release.withdrawn",
        site=left.site,
        at=at,
        product=left.product,
        bundle_hash=left.bundle_hash,
        left=left.number,
        release=to.number,
        why=why,
        proof={"code": reason.code, **reason.parameters},
    )
    return to
