"""GET /v1/verdicts and /v1/verdicts.csv: the record."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, StreamingResponse

from edge_agent.record import Entry, Record
from edge_agent.web.described import READING, Verdicts


def verdict_routes(record: Record) -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.get("/v1/verdicts", responses={**READING, 200: {"model": Verdicts}})
    def verdicts(
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        before: Annotated[int | None, Query(ge=1)] = None,
        part_id: Annotated[str | None, Query(max_length=128)] = None,
        camera: Annotated[str | None, Query(max_length=64)] = None,
    ) -> JSONResponse:
        """The newest verdicts with their outcomes; `next` is the `before` of the following page."""
        entries = record.entries(limit=limit, before=before, part_id=part_id, camera=camera)
        following = entries[-1].number if len(entries) == limit else None
        return JSONResponse({"verdicts": [_json(entry) for entry in entries], "next": following})

    @router.get("/v1/verdicts.csv", responses={**READING, 200: {"content": {"text/csv": {}}}})
    def verdicts_csv() -> StreamingResponse:
        """The whole record, oldest first."""
        headers = {"Content-Disposition": 'attachment; filename="verdicts.csv"'}
        return StreamingResponse(record.csv_lines(), media_type="text/csv; charset=utf-8", headers=headers)

    return router


def _json(entry: Entry) -> dict[str, Any]:
    return {
        "number": entry.number,
        "verdict": entry.verdict.model_dump(mode="json"),
        "outcome": None if entry.outcome is None else entry.outcome.model_dump(mode="json"),
    }
