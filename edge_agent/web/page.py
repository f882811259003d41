"""The operator's page: what the station sees, says and needs, and two buttons to say otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from contracts.frame import Decision
from edge_agent.outcomes import confirmed_label
from edge_agent.parts.parts import Parts
from edge_agent.pause import Paused
from edge_agent.recent import Glance, Recent
from edge_agent.trouble import Trouble
from edge_agent.web.rendering import Rendering

_SHOWN = 24


@dataclass(frozen=True)
class CameraView:
    """One camera as the page shows it: `fault` is a `CameraFault`, `drift` the monitor's word, both may be None."""

    name: str
    fault: str | None
    drift: str | None


@dataclass(frozen=True)
class StationView:
    """What the page says about the station. `connected` None: there is no broker to connect to."""

    site: str
    agent: str
    bundle_hash: str | None
    release: int | None
    shadow: bool
    connected: bool | None
    acknowledged_at: datetime | None
    waiting_messages: int
    cameras: Sequence[CameraView]
    troubles: Sequence[Trouble]
    labels: Sequence[str]
    good_labels: Sequence[str]
    variant: str | None = None
    certified: bool = True
    """Whether the bundle's certificate of this variant holds for this class of devices."""
    parts: Parts | None = None
    """Where several cameras see one part."""
    paused: Paused | None = None
    trained_at: datetime | None = None
    """When the bundle that serves was made."""


def page_routes(view: Callable[[], StationView], recent: Recent, rendering: Rendering, *, boot: str) -> APIRouter:
    """The page, its pieces and its pictures."""
    router, render = APIRouter(include_in_schema=False), rendering.piece

    def pieces(request: Request, glances: Sequence[Glance]) -> dict[str, Any]:
        now = view()
        return {
            "state": render("state.html", request, view=now, counts=recent.counts(), trend=recent.trend.minutes()),
            "cards": render("cards.html", request, glances=glances),
            "panel": render("panel.html", request, **_panel(glances[0], now)) if glances else None,
            "newest": recent.newest_number(),
        }

    @router.get("/")
    def page(request: Request) -> HTMLResponse:
        """The page."""
        glances = recent.newest(_SHOWN)
        return rendering.page("page.html", request, **pieces(request, glances))

    @router.get("/fragments")
    def fragments(request: Request, after: int = 0, not_ok: bool = False) -> JSONResponse:
        """What is new since image number `after`, as pieces of the page."""
        glances = [glance for glance in recent.newest(_SHOWN, not_ok=not_ok) if glance.number > after]
        return JSONResponse(pieces(request, glances), headers={"Cache-Control": "no-store"})

    @router.get("/fragments/{number}")
    def panel(request: Request, number: int) -> Response:
        """One image of the last ones, large."""
        glance = recent.find(number)
        if glance is None:
            return Response(status_code=404)
        return HTMLResponse(render("panel.html", request, **_panel(glance, view())))

    @router.get("/thumbnails/{of_boot}/{number}.jpg")
    def thumbnail(of_boot: str, number: int) -> Response:
        """The picture of one of the last images."""
        glance = recent.find(number) if of_boot == boot else None
        return _picture(None if glance is None else glance.jpeg(), "image/jpeg")

    @router.get("/heat/{of_boot}/{number}.png")
    def heat(of_boot: str, number: int) -> Response:
        """Where in one of the last images a defect is likely, as a layer over its picture."""
        glance = recent.find(number) if of_boot == boot else None
        return _picture(None if glance is None else glance.heat_png(), "image/png")

    return router


def _picture(data: bytes | None, kind: str) -> Response:
    if data is None:
        return Response(status_code=404)
    return Response(data, media_type=kind, headers={"Cache-Control": "private, max-age=3600"})


def _panel(glance: Glance, view: StationView) -> Mapping[str, Any]:
    verdict = glance.verdict
    confirmed = confirmed_label(verdict, view.good_labels)
    others = [label for label in view.labels if label != confirmed]
    took_side = verdict.decision in (Decision.OK, Decision.NG)
    parts = view.parts if view.parts is not None and view.parts.is_view(verdict.frame.camera) else None
    return {
        "glance": glance,
        "confirmed": confirmed if took_side else None,
        "others": others,
        "whole": None if parts is None else parts.find(verdict.frame.part_id),
        "undecided": parts is not None and parts.is_open(verdict.frame.part_id),
    }
