"""The permanent random audit: which share of its images an agent uploads for labelling at all times."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.orm import Session

from contracts.orders import Configure
from contracts.telemetry import Window
from monitor.orders import OrderDesk
from monitor.settings import LabelSettings
from monitor.store.telemetry_tables import AgentRow

DAY_SECONDS = 86400.0
CHANGE_FACTOR = 2.0
SHORTEST_WINDOW = timedelta(seconds=1)


def audit_fraction(images: int, span: timedelta, *, per_day: float) -> float:
    """Share that gives about `per_day` images a day at the rate of `images` in `span`; two significant digits.

    >>> audit_fraction(1800, timedelta(seconds=60), per_day=50)
    1.9e-05
    """
    if images < 1:
        return 0.0
    daily = images / max(span, SHORTEST_WINDOW).total_seconds() * DAY_SECONDS
    return float(f"{min(1.0, per_day / daily):.2g}")


def configure_audit(
    session: Session, orders: OrderDesk, agent: AgentRow, window: Window, settings: LabelSettings
) -> None:
    """Tell the agent its share when it has none yet, or when its rate has changed by more than a factor of two."""
    wanted = settings.audit_fraction
    if wanted is None:
        if window.images < 1:
            return
        span = window.ended_at - window.started_at
        wanted = audit_fraction(window.images, span, per_day=settings.audit_per_camera_day)
    if agent.audit_fraction is not None and not _differs(agent.audit_fraction, wanted):
        return
    agent.audit_fraction = wanted
    orders.issue(
        session,
        Configure,
        site=agent.site,
        agent=agent.agent,
        reason="permanent random audit",
        audit_fraction=wanted,
    )


def _differs(told: float, wanted: float) -> bool:
    if told == 0.0 or wanted == 0.0:
        return told != wanted
    return not 1.0 / CHANGE_FACTOR <= wanted / told <= CHANGE_FACTOR
