"""/v1/outbox: messages that people carry to the monitor by hand, and the acknowledgements that come back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from contracts.errors import QuotaError
from contracts.telemetry import Ack, Birth
from edge_agent.outbox import Outbox
from edge_agent.web.errors import Refusal


class Wanted(BaseModel):
    """Which messages: those behind number `after`."""

    model_config = ConfigDict(extra="forbid")

    after: int = Field(default=0, ge=0)
    limit: int = Field(default=500, ge=1, le=1000)


class Acks(BaseModel):
    """What the monitor has committed."""

    model_config = ConfigDict(extra="forbid")

    acks: Annotated[tuple[Ack, ...], Field(max_length=10_000)]


def carrying_routes(outbox: Outbox, *, agent: str, birth: Callable[[], Birth]) -> APIRouter:
    """The routes. `birth`: the state of this station."""
    router = APIRouter()

    @router.post("/v1/outbox/messages")
    def hand_over(wanted: Wanted) -> JSONResponse:
        """The oldest messages; `next` is the `after` of the following ones, None at the end. They stay in the outbox.
        The first call adds the state of this station, which nobody else would tell."""
        if wanted.after == 0:
            _stored(lambda: outbox.announce(birth))
        messages = _stored(lambda: outbox.hand_over(after=wanted.after, limit=wanted.limit))
        waiting, size = outbox.size()
        return JSONResponse(
            {
                "messages": [message.envelope.model_dump(mode="json") for message in messages],
                "next": messages[-1].number if messages else None,
                "waiting_messages": waiting,
                "waiting_bytes": size,
            }
        )

    @router.post("/v1/outbox/acks")
    def acknowledge(given: Acks) -> JSONResponse:
        """Forget what the monitor has. Acknowledgements of another agent change nothing."""
        own = [ack for ack in given.acks if ack.agent == agent]
        gone = _stored(lambda: sum(outbox.acknowledge(ack.boot, ack.sequence) for ack in own))
        return JSONResponse({"acknowledged": gone})

    return router


def _stored(action: Any) -> Any:
    try:
        return action()
    except QuotaError as error:
        raise Refusal(503, str(error), "try again once there is room", retry_after_seconds=10) from error
