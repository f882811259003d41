"""GET /v1/parts: what was decided about parts that several cameras see."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from contracts.part import PartVerdict
from edge_agent.parts.parts import PartEntry, Parts
from edge_agent.web.described import READING

_LOOK_SECONDS = 0.02


def part_routes(parts: Parts) -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.get("/v1/parts", responses=READING)
    async def found(
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        before: Annotated[int | None, Query(ge=1)] = None,
        part_id: Annotated[str | None, Query(max_length=128)] = None,
        wait_seconds: Annotated[float, Query(ge=0.0, le=30.0)] = 0.0,
    ) -> JSONResponse:
        """The newest part verdicts; of `part_id`, it waits until the part is decided. None came: nothing is decided."""
        until = time.monotonic() + wait_seconds
        while True:
            entries = await run_in_threadpool(parts.entries, limit=limit, before=before, part_id=part_id)
            waits = part_id is not None and (not entries or parts.is_open(part_id))
            if not waits or time.monotonic() >= until:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        if waits:
            entries = []
        following = entries[-1].number if len(entries) == limit else None
        return JSONResponse({"parts": [_json(entry) for entry in entries], "next": following})

    return router


async def part_after(parts: Parts, part_id: str, number: int, *, seconds: float) -> PartVerdict | None:
    """The verdict on a part that follows the one of that number; None where none comes in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        entries = await run_in_threadpool(parts.entries, limit=1, part_id=part_id)
        if entries and entries[0].number > number:
            return entries[0].verdict
        await asyncio.sleep(_LOOK_SECONDS)
    return None


def _json(entry: PartEntry) -> dict[str, Any]:
    late = {camera: decision.value for camera, decision in entry.late.items()}
    return {"number": entry.number, "verdict": entry.verdict.model_dump(mode="json"), "late": late}
