"""Too many requests at once: the rest is refused at once, in the form of every other refusal."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from edge_agent.web.access import OPEN_PATHS
from edge_agent.web.errors import Refusal


class Crowd:
    """ASGI middleware: at most `most` requests under way; the probes are always answered. A server's own limit would
    answer plain text that does not say when to come back."""

    def __init__(self, app: ASGIApp, *, most: int) -> None:
        self._app, self._most = app, most
        self._under_way = 0  # of one event loop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
        elif self._under_way >= self._most:
            await self._refusal()(scope, receive, send)
        else:
            await self._admit(scope, receive, send)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._under_way += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1

    def _refusal(self) -> ASGIApp:
        error = f"more than {self._most} requests at once"
        return Refusal(503, error, "wait and send it again", retry_after_seconds=1).response()
