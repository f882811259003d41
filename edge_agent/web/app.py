"""The agent's web application, put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from fastapi import APIRouter, FastAPI, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp

from edge_agent.version import software_version
from edge_agent.web.access import Access
from edge_agent.web.clients import Clients
from edge_agent.web.described import PROBING, describe
from edge_agent.web.errors import Refusal, answer_invalid, answer_refusal, answer_unknown
from edge_agent.web.shortcut import Endpoint, Shortcut

_STRAIGHT = frozenset({"/v1/inspect"})
_ABOUT = """One station: an image in, a verdict out, and the record of all verdicts. Every refusal says what is wrong
and what to do. The schemas are those of `contracts/`."""


def create_app(
    routers: Sequence[APIRouter],
    *,
    registry: CollectorRegistry,
    refresh_metrics: Callable[[], None],
    ready: Callable[[], str | None],
    user: str,
    password: str | None,
    clients: Clients | None = None,
    came: Callable[[str], None] = lambda client: None,
) -> FastAPI:
    """All routes behind the access rules; `/live`, `/ready` and `/metrics` are made here."""
    app = _Door(title="Lineside agent", version=software_version(), docs_url=None, redoc_url=None)
    describe(app, about=_ABOUT)
    app.add_exception_handler(Refusal, answer_refusal)
    app.add_exception_handler(RequestValidationError, answer_invalid)
    app.add_exception_handler(StarletteHTTPException, answer_unknown)
    for router in routers:
        app.include_router(router)

    @app.get("/live")
    async def live() -> JSONResponse:
        """The process answers."""
        return JSONResponse({"live": True})

    @app.get("/ready", responses=PROBING)
    def answer_ready() -> JSONResponse:
        """Images can be inspected, the model answers (a golden sample is asked), and verdicts can be put on record."""
        reason = ready()
        return JSONResponse({"ready": reason is None, "reason": reason}, 200 if reason is None else 503)

    @app.get("/metrics")
    def metrics() -> Response:
        """For Prometheus."""
        refresh_metrics()
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    endpoints, refuse = _straight(routers), partial(Access, user=user, password=password, clients=clients, came=came)
    app.before = lambda rest: refuse(Shortcut(rest, endpoints=endpoints))
    return app


class _Door(FastAPI):
    """An application with something `before` all that FastAPI does with a request, most of which an image does not
    need."""

    before: Callable[[ASGIApp], ASGIApp]

    def build_middleware_stack(self) -> ASGIApp:
        """As Starlette calls it, once."""
        return self.before(super().build_middleware_stack())


def _straight(routers: Sequence[APIRouter]) -> dict[str, Endpoint]:
    """Path -> endpoint of the routes that are asked for every image."""
    routes = (route for router in routers for route in router.routes if isinstance(route, APIRoute))
    return {route.path: route.endpoint for route in routes if route.path in _STRAIGHT}
