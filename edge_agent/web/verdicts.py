"""GET /v1/verdicts and /v1/verdicts.csv: the record."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import TypeAdapter, ValidationError

from edge_agent.extract import Extract
from edge_agent.record import Entry, Record
from edge_agent.web.described import READING, Verdicts
from edge_agent.web.errors import Refusal

_EXTRACT = TypeAdapter(Extract)


def asked(
    since: str | None = None,
    until: str | None = None,
    camera: Annotated[str | None, Query(max_length=64)] = None,
    decision: str | None = None,
    part_id: Annotated[str | None, Query(max_length=128)] = None,
) -> Extract:
    """Which part of the record; what a form leaves empty is not asked. A moment without an offset is of this box's own
    clock."""
    asked_for = {"since": since, "until": until, "camera": camera, "decision": decision, "part_id": part_id}
    try:
        return _EXTRACT.validate_python({name: value for name, value in asked_for.items() if value})
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise Refusal(
            422, wrong, "moments look like 2026-03-02T14:00, decisions are OK, NG, REVIEW, NO_VERDICT"
        ) from error


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
    def verdicts_csv(extract: Annotated[Extract, Depends(asked)], as_recorded: bool = False) -> StreamingResponse:
        """The record or a part of it, oldest first. `as_recorded`: texts that a spreadsheet would take for a formula
        get no apostrophe in front."""
        headers = {"Content-Disposition": 'attachment; filename="verdicts.csv"'}
        lines = record.csv_lines(extract, for_spreadsheets=not as_recorded)
        return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)

    return router


def _json(entry: Entry) -> dict[str, Any]:
    return {
        "number": entry.number,
        "verdict": entry.verdict.model_dump(mode="json"),
        "outcome": None if entry.outcome is None else entry.outcome.model_dump(mode="json"),
    }
