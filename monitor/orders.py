"""Orders to agents: written in the transaction of the decision, sent until the agent says done or they expire."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from pydantic import TypeAdapter
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from contracts.orders import Benchmark, Configure, CountScores, Install, Order, Replay, Rollback, Sample
from monitor import timeline
from monitor.labels import RANDOM_SOURCES
from monitor.store.database import Store
from monitor.store.label_tables import ImageRow
from monitor.store.rollout_tables import OrderRow

AgentOrder = Install | Rollback | Replay | Sample | Benchmark | CountScores | Configure

_orders: TypeAdapter[Order] = TypeAdapter(Order)


class Publisher(Protocol):
    """Hands one order to the broker; False while that is away (see `link.Link.publish_order`)."""

    def __call__(self, site: str, agent: str, text: str) -> bool: ...


def new_id(kind: str) -> str:
    """A fresh identifier, for example `sample-4f1c9a02d3`."""
    return f"{kind}-{secrets.token_hex(6)}"


class OrderDesk:
    """Writes orders and sends them. `valid_hours` is how long an order may wait for its agent."""

    def __init__(
        self,
        *,
        valid_hours: float,
        resend_seconds: float,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._valid = timedelta(hours=valid_hours)
        self._resend = timedelta(seconds=resend_seconds)
        self._clock = clock

    def issue(
        self,
        session: Session,
        kind: type[AgentOrder],
        *,
        site: str,
        agent: str,
        reason: str,
        incident_id: str | None = None,
        order_id: str | None = None,
        **fields: Any,
    ) -> str:
        """Write one order for one agent; returns its id. An id that exists already is left as it is."""
        now = self._clock()
        name = kind.model_fields["kind"].default
        order_id = order_id or new_id(str(name))
        if session.get(OrderRow, order_id) is not None:
            return order_id
        order = kind(order_id=order_id, issued_at=now, expires_at=now + self._valid, reason=reason, **fields)
        session.add(
            OrderRow(
                order_id=order_id,
                site=site,
                agent=agent,
                kind=order.kind,
                body=order.model_dump(mode="json"),
                state="open",
                issued_at=order.issued_at,
                expires_at=order.expires_at,
                sends=0,
                incident_id=incident_id,
            )
        )
        return order_id

    def send_due(self, store: Store, publish: Publisher) -> int:
        """Send what is open and due, close what has expired; returns how many were sent."""
        now = self._clock()
        with store.read() as session:
            due = session.scalars(
                select(OrderRow).where(
                    OrderRow.state == "open",
                    or_(
                        OrderRow.last_sent_at.is_(None),
                        OrderRow.last_sent_at <= now - self._resend,
                        OrderRow.expires_at <= now,
                    ),
                )
            ).all()
        sent = [row for row in due if row.expires_at > now and publish(row.site, row.agent, _text(row))]
        expired = [row.order_id for row in due if row.expires_at <= now]
        if sent or expired:
            with store.write() as session:
                for row in sent:
                    kept = session.get_one(OrderRow, row.order_id)
                    kept.sends += 1
                    kept.last_sent_at = now
                for order_id in expired:
                    state = "done" if _has_its_draw(session, order_id) else "expired"
                    self.close(session, order_id, state=state, outcome="", at=now)
        return len(sent)

    def close(self, session: Session, order_id: str, *, state: str, outcome: str, at: datetime) -> OrderRow | None:
        """An order ended as `state` (done, failed, expired, cancelled). None when it is unknown or had ended before."""
        row = session.get(OrderRow, order_id)
        if row is None or row.state != "open":
            return None
        row.state = state
        row.closed_at = self._clock()
        row.outcome = outcome
        if state in ("failed", "expired"):
            timeline.note(
                session,
                f"order.{state}",
                site=row.site,
                at=at,
                agent=row.agent,
                order_id=order_id,
                incident_id=row.incident_id,
                what=row.kind,
                why=outcome,
            )
        return row

    def cancel(self, session: Session, *, site: str, kind: str, incident_id: str | None = None) -> None:
        """Stop sending open orders of a kind (of one incident, where given)."""
        query = select(OrderRow).where(OrderRow.site == site, OrderRow.kind == kind, OrderRow.state == "open")
        if incident_id is not None:
            query = query.where(OrderRow.incident_id == incident_id)
        for row in session.scalars(query):
            row.state, row.closed_at = "cancelled", self._clock()


def _has_its_draw(session: Session, order_id: str) -> bool:
    """Whether all random images of a sample are here. Whatever it wanted on top need not have been there; but where it
    wanted no random ones, something must have come: an agent that never answered did nothing."""
    row = session.get_one(OrderRow, order_id)
    if row.kind != "sample":
        return False
    wanted, came = int(row.body["random"]), select(func.count()).where(ImageRow.order_id == order_id)
    if wanted:
        came = came.where(ImageRow.source.in_(RANDOM_SOURCES))
    return (session.scalar(came) or 0) >= max(wanted, 1)


def _text(row: OrderRow) -> str:
    order = _orders.validate_python(row.body)
    return order.model_dump_json()
