"""What the monitor asks, kept on disk until it is done. The same order twice changes nothing."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from contracts.errors import OrderError, QuotaError
from contracts.names import Identifier
from contracts.orders import Order
from contracts.telemetry import Event, EventKind
from edge_agent.outbox import Outbox
from edge_agent.store import Store

_ORDER: TypeAdapter[Order] = TypeAdapter(Order)
_IDENTIFIER: TypeAdapter[str] = TypeAdapter(Identifier)
_log = logging.getLogger(__name__)

OrderT = TypeVar("OrderT", bound=Order)
Handler = Callable[[Any], None]


class Orders:
    """Open orders in the agent's database. `begin[kind]` is called once an order of that kind is on disk; it returns
    quickly, and raises OrderError where the order cannot be carried out."""

    def __init__(self, store: Store, outbox: Outbox) -> None:
        self._store, self._outbox = store, outbox
        self.begin: Mapping[str, Handler] = {}
        self.count: Callable[[str], None] = lambda kind: None
        """Called with the kind of every order that is new here."""

    def receive(self, payload: bytes) -> None:
        """Take an order from the wire. Never raises for what it holds."""
        try:
            order = _ORDER.validate_json(payload)
        except ValidationError as error:
            self._refuse_unreadable(payload, error)
            return
        try:
            if self._keep(order, payload):
                self.count(order.kind)
                self._begin(order)
        except QuotaError as error:
            _log.error("order %s waits to be sent again: %s", order.order_id, error)

    def open(self, kind: type[OrderT]) -> list[OrderT]:
        """Orders of one kind that are neither done nor failed, oldest first."""
        rows = self._store.rows("SELECT body FROM orders WHERE state = 'open' ORDER BY received_at")
        orders = [_ORDER.validate_json(row["body"]) for row in rows]
        return [order for order in orders if isinstance(order, kind)]

    def finish(self, order: Order, *, details: dict[str, Any] | None = None) -> None:
        """Say that an order is done. Joins an open transaction."""
        self._close(order, "done", Event(
            event=EventKind.ORDER_DONE, at=datetime.now(UTC), order_id=order.order_id, details=details or {}
        ))  # fmt: skip

    def fail(self, order: Order, reason: str, *, details: dict[str, Any] | None = None) -> None:
        """Say that an order cannot be carried out, and why. Joins an open transaction."""
        self._close(order, "failed", Event(
            event=EventKind.ORDER_FAILED, at=datetime.now(UTC), order_id=order.order_id, reason=reason,
            details=details or {},
        ))  # fmt: skip

    def forget_before(self, moment: datetime) -> None:
        """Delete closed orders that are older."""
        with self._store.transaction() as db:
            db.execute("DELETE FROM orders WHERE state != 'open' AND received_at < ?", (moment.timestamp(),))

    def _keep(self, order: Order, payload: bytes) -> bool:
        with self._store.transaction() as db:
            new = db.execute(
                "INSERT OR IGNORE INTO orders VALUES (?, ?, ?, 'open', ?)",
                (order.order_id, order.kind, payload.decode("utf-8"), datetime.now(UTC).timestamp()),
            ).rowcount
        return bool(new)

    def _begin(self, order: Order) -> None:
        if order.expires_at <= datetime.now(UTC):
            self.fail(order, "it had expired when it arrived")
            return
        handler = self.begin.get(order.kind)
        if handler is None:
            self.fail(order, f"an agent does not carry out orders of kind {order.kind!r}")
            return
        try:
            handler(order)
        except OrderError as error:
            self.fail(order, str(error))

    def _close(self, order: Order, state: str, event: Event) -> None:
        with self._store.transaction() as db:
            closed = db.execute(
                "UPDATE orders SET state = ? WHERE order_id = ? AND state = 'open'", (state, order.order_id)
            ).rowcount
            if closed:
                self._outbox.add(event)

    def _refuse_unreadable(self, payload: bytes, error: ValidationError) -> None:
        self.count("unreadable")
        _log.warning("an order cannot be read: %s", error.errors()[0]["msg"])
        try:
            order_id = _IDENTIFIER.validate_python(json.loads(payload)["order_id"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return
        reason = "this version of the agent cannot read the order"
        self._outbox.add(Event(event=EventKind.ORDER_FAILED, at=datetime.now(UTC), order_id=order_id, reason=reason))
