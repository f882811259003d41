"""What people may do about retrains: ask for one, cancel one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts.errors import OrderError
from monitor import timeline
from monitor.retrain_order import WAITING
from monitor.rulebook import Rulebook
from monitor.rules.reason import Reason
from monitor.store.database import Store
from monitor.store.rollout_tables import RetrainRow
from monitor.store.rule_tables import EventRow


class RetrainDesk:
    """`on_change` wakes the workers."""

    def __init__(self, store: Store, rulebook: Rulebook, *, on_change: Callable[[], None] = lambda: None) -> None:
        self._store, self._rulebook, self._on_change = store, rulebook, on_change

    def ask(self, *, site: str, by: str, reason: str) -> dict[str, Any]:
        """A person wants the served model retrained. Raises OrderError with the governor's reason where it may not;
        the refusal is on the timeline either way."""
        with self._store.write() as session:
            self._rulebook.tell_retrain_asked(session, site, who=by, why=reason)
            said = session.scalars(
                select(EventRow).where(EventRow.site == site, EventRow.kind == "retrain").order_by(EventRow.id.desc())
            ).first()
        self._on_change()
        if said is None or said.parameters.get("what") != "ordered":
            raise OrderError(said.text if said is not None else f"site {site} serves nothing that could be retrained")
        return {"order_id": said.order_id}

    def cancel(self, order_id: str, *, by: str, reason: str) -> dict[str, Any]:
        """End a retrain; its process is ended by the worker. Raises KeyError, or OrderError where it has ended."""
        with self._store.write() as session:
            row = session.get(RetrainRow, order_id)
            if row is None:
                raise KeyError(f"there is no retrain {order_id!r}")
            if row.state not in WAITING:
                raise OrderError(f"retrain {order_id} is {row.state} already")
            row.state, row.retry_at = "cancelled", None
            row.result = f"cancelled by {by}" + (f": {reason}" if reason else "")
            self._note(session, row, by=by, why=reason or "no reason given")
        self._on_change()
        return {"order_id": order_id, "state": "cancelled"}

    def _note(self, session: Session, row: RetrainRow, *, by: str, why: str) -> None:
        timeline.note(
            session,
            "retrain.cancelled",
            site=row.site,
            at=self._rulebook.clock(session, row.site),
            product=row.product,
            incident_id=row.incident_id,
            order_id=row.order_id,
            by=by,
            why=why,
        )
        if row.incident_id is not None:
            ended = Reason(code="retrain.stopped", parameters={"by": by, "why": why})
            self._rulebook.tell_stage(
                session, row.site, incident_id=row.incident_id, stage="failed", reason=ended, bundle_hash=None
            )
