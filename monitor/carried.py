"""Telemetry that came on a stick: committed as if it had come over the broker, acknowledged for the way back.

No broker says who speaks here. Whoever imports vouches for the stick, and the timeline says who that was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from contracts.names import Identifier, Name
from contracts.telemetry import Ack, topic
from monitor import timeline
from monitor.ingest import Arrival, Ingest
from monitor.store.database import Store

if TYPE_CHECKING:
    from monitor.desk import Desk


class Carried:
    """`on_change` wakes the workers: there is something to judge."""

    def __init__(self, store: Store, ingest: Ingest, *, on_change: Callable[[], None]) -> None:
        self._store, self._ingest, self._on_change = store, ingest, on_change

    def commit(self, messages: Sequence[str], *, site: str, agent: str, by: str) -> tuple[Ack, ...]:
        """Commit an agent's messages (JSON of envelopes); returns an acknowledgement of every boot that spoke. The same
        ones twice change nothing and are acknowledged again."""
        now = datetime.now(UTC)
        arrivals = [Arrival(topic(site, agent, "telemetry"), message.encode(), now) for message in messages]
        acks = tuple(ack for _, ack in self._ingest.commit(arrivals))
        with self._store.write() as session:
            timeline.note(session, "telemetry.carried", site=site, at=now, agent=agent, count=len(arrivals), by=by)
        self._on_change()
        return acks


class CarriedMessages(BaseModel):
    """One file of a stick."""

    model_config = ConfigDict(extra="forbid")

    site: Name | None = None
    agent: Name
    messages: list[str] = Field(max_length=1000, description="each the JSON of an `envelope-v1`")
    by: Identifier


def add_carried(router: APIRouter, desk: Desk) -> None:
    """`/v1/telemetry`."""

    @router.post("/telemetry")
    def commit_messages(given: CarriedMessages) -> dict[str, Any]:
        """Telemetry of a station without a network, brought by a person; answers with acknowledgements to take back."""
        site = desk.site(given.site)
        acks = desk.carried.commit(given.messages, site=site, agent=given.agent, by=given.by)
        return {"acks": [ack.model_dump(mode="json") for ack in acks]}
