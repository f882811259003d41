"""The monitor's web application: API, pages, registry files and metrics behind one door."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.staticfiles import StaticFiles

from contracts.errors import BundleError, ConfigurationError, DatasetError, LinesideError, LinkError, OrderError
from monitor.api import routes
from monitor.blobs import Blobs
from monitor.desk import Desk
from monitor.door import Door, guard
from monitor.registry import Registry
from monitor.store.database import Store

STATUS = {OrderError: 409, BundleError: 422, DatasetError: 422, ConfigurationError: 422, LinkError: 503}


def make_app(
    store: Store,
    blobs: Blobs,
    desk: Desk,
    registry: Registry,
    metrics: CollectorRegistry,
    *,
    door: Door,
    max_image_bytes: int,
    trouble: Callable[[], list[str]] = list,
) -> FastAPI:
    """The application. `trouble` says why the monitor is not ready, one line each."""
    app = FastAPI(title="Lineside monitor", docs_url=None, redoc_url=None)
    app.middleware("http")(guard(door))
    app.add_exception_handler(LinesideError, _refused)
    app.add_exception_handler(KeyError, _unknown)
    app.include_router(routes(store, blobs, desk, max_image_bytes=max_image_bytes))

    @app.get("/live", include_in_schema=False)
    def live() -> dict[str, str]:
        """The process answers."""
        return {"status": "live"}

    @app.get("/ready", include_in_schema=False)
    def ready() -> Response:
        """Everything it needs is there."""
        lines = trouble()
        return JSONResponse({"ready": not lines, "trouble": lines}, status_code=503 if lines else 200)

    @app.get("/metrics", include_in_schema=False)
    def read_metrics() -> Response:
        """For Prometheus."""
        return Response(generate_latest(metrics), media_type=CONTENT_TYPE_LATEST)

    _serve_registry(app, "metadata", registry.metadata_folder)
    _serve_registry(app, "targets", registry.targets_folder)
    return app


def _serve_registry(app: FastAPI, name: str, folder: Path) -> None:
    app.mount(f"/registry/{name}", StaticFiles(directory=folder), name=f"registry-{name}")


async def _refused(_request: Request, error: Exception) -> Response:
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 400)
    return JSONResponse({"detail": str(error)}, status_code=status)


async def _unknown(_request: Request, error: Exception) -> Response:
    what: Any = error.args[0] if error.args else "not found"
    return JSONResponse({"detail": str(what)}, status_code=404)
