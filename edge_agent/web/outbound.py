"""The page that lists every outbound connection, and the same as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse

from edge_agent.outbound import Connection
from edge_agent.web.rendering import Rendering


def outbound_routes(connections: Callable[[], Sequence[Connection]], rendering: Rendering) -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.get("/connections")
    def page(request: Request) -> HTMLResponse:
        """The page."""
        return rendering.page("connections.html", request, connections=connections())

    @router.get("/v1/connections")
    def listed() -> JSONResponse:
        """The list."""
        return JSONResponse({"connections": [asdict(connection) for connection in connections()]})

    return router
