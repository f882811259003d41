"""Retrains over HTTP: read them, ask for one, cancel one."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from contracts.names import Identifier, Name
from monitor import queries
from monitor.desk import Desk
from monitor.store.database import Store


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RetrainWanted(_Body):
    """A person wants a retrain; cool-down and label minimums do not hold it, a running one and budgets do."""

    site: Name | None = None
    reason: str = Field(min_length=1, max_length=1000)
    by: Identifier


class CancelAsked(_Body):
    """A person ends a retrain."""

    site: Name | None = Field(default=None, description="as in every click; the order knows its own")
    by: Identifier
    reason: str = Field(default="", max_length=1000)


def add_retrains(router: APIRouter, store: Store, desk: Desk) -> None:
    """`/v1/retrains`."""

    @router.get("/retrains")
    def read_retrains(site: Name | None = None) -> dict[str, Any]:
        """Retrains with their state, last words and most memory so far, newest first."""
        with store.read() as session:
            return queries.retrains(session, site=site)

    @router.post("/retrains", status_code=202)
    def ask(wanted: RetrainWanted) -> dict[str, Any]:
        """Retrain the served model. 409 with the governor's reason where it may not."""
        return desk.retrains.ask(site=desk.site(wanted.site), by=wanted.by, reason=wanted.reason)

    @router.post("/retrains/{order_id}/cancel")
    def cancel(order_id: Identifier, asked: CancelAsked) -> dict[str, Any]:
        """End a retrain that waits or runs. 404, or 409 where it has ended."""
        return desk.retrains.cancel(order_id, by=asked.by, reason=asked.reason)
