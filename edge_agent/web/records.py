"""The record as a page: searched by part, camera, verdict and time, and downloaded as CSV."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from contracts.frame import Decision
from edge_agent.extract import Extract
from edge_agent.record import Record
from edge_agent.web.rendering import Rendering
from edge_agent.web.verdicts import asked

_SHOWN = 100
_FIELDS = ("part_id", "camera", "decision", "since", "until")


def record_routes(
    record: Record, rendering: Rendering, *, cameras: Callable[[], Sequence[str]], kept_days: Mapping[str, float]
) -> APIRouter:
    """The route. `kept_days`: how long which kind of data stays on this station."""
    router = APIRouter(include_in_schema=False)

    @router.get("/records")
    def records(
        request: Request,
        extract: Annotated[Extract, Depends(asked)],
        before: Annotated[int | None, Query(ge=1)] = None,
    ) -> HTMLResponse:
        """The newest verdicts that were asked for."""
        entries, older = record.search(extract, limit=_SHOWN, before=before)
        words = {name: request.query_params.get(name, "") for name in _FIELDS}
        again = {name: value for name, value in request.query_params.items() if name in (*_FIELDS, "lang") and value}
        return rendering.page(
            "records.html",
            request,
            entries=entries,
            asked=words,
            cameras=cameras(),
            decisions=[decision.value for decision in Decision],
            older=None if older is None else urlencode({**again, "before": older}),
            kept_days=kept_days,
        )

    return router
