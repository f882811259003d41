"""The one route that every image takes goes to its endpoint at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from edge_agent.web.errors import Refusal

Endpoint = Callable[[Request], Awaitable[Response]]


class Shortcut:
    """ASGI middleware behind the access rules: a POST to one of the paths is answered by its endpoint, which takes the
    request and nothing else. FastAPI would look for parameters and models that it does not have; it still describes
    the route."""

    def __init__(self, app: ASGIApp, *, endpoints: Mapping[str, Endpoint]) -> None:
        self._app, self._endpoints = app, endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get(scope["path"]) if scope["type"] == "http" else None
        if endpoint is None or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        try:
            response = await endpoint(Request(scope, receive))
        except Refusal as refusal:
            response = refusal.response()
        await response(scope, receive, send)
