"""POST /v1/pause: somebody works at the station, or is done."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from contracts.errors import QuotaError
from contracts.names import Identifier
from edge_agent.pause import Pause
from edge_agent.web.described import READING, Refused
from edge_agent.web.errors import Refusal


class Wish(BaseModel):
    """`by` is a pseudonym."""

    model_config = ConfigDict(extra="forbid")

    paused: bool
    by: Identifier = "operator"


def pause_routes(pause: Pause) -> APIRouter:
    """The route."""
    router = APIRouter()

    @router.post("/v1/pause", responses={**READING, 503: {"model": Refused, "description": "The disk is full."}})
    async def change(wish: Wish) -> JSONResponse:
        """While it is paused every part gets NO_VERDICT, with the reason, and no camera is called faulty."""
        try:
            await run_in_threadpool(pause.begin if wish.paused else pause.end, wish.by)
        except QuotaError as error:
            raise Refusal(503, str(error), "try again once there is room", retry_after_seconds=10) from error
        now = pause.now
        return JSONResponse({"paused": now is not None, "since": None if now is None else now.since.isoformat()})

    return router
