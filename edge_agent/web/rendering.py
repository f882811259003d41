"""Templates, texts and files of the station's pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader

from edge_agent.web.reasons import why, why_whole
from edge_agent.web.texts import choose_language, read_texts
from edge_agent.web.troubles import say

_FOLDER = Path(__file__).parent
_STATIC = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "moments.js": "text/javascript",
    "mark.svg": "image/svg+xml",
}
_POLICY = "default-src 'self'; img-src 'self'; style-src 'self'; script-src 'self'; frame-ancestors 'none'"


class Rendering:
    """Renders for one agent. `site` and `agent` stand in the head of each page, `boot` tells its starts apart."""

    def __init__(self, *, site: str, agent: str, boot: str) -> None:
        self._texts = read_texts()
        self._pages = Environment(
            loader=FileSystemLoader(_FOLDER / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
        )
        self._pages.globals["say"] = say
        self._pages.globals["why"] = why
        self._pages.globals["why_whole"] = why_whole
        self._common = {"site": site, "agent": agent, "boot": boot, "languages": sorted(self._texts)}

    def piece(self, template: str, request: Request, **values: Any) -> str:
        """A page or a part of one, in the language of whoever asks."""
        asked = request.query_params.get("lang")
        language = choose_language(asked, request.headers.get("accept-language", ""), list(self._texts))
        common = {
            **self._common,
            "t": self._texts[language],
            "language": language,
            "path": request.url.path,
            "keep": f"?{urlencode({'lang': language})}" if asked in self._texts else "",
        }
        return self._pages.get_template(template).render(**common, **values)

    def page(self, template: str, request: Request, **values: Any) -> HTMLResponse:
        """A whole page, under a policy that lets nothing in from elsewhere."""
        html = self.piece(template, request, **values)
        return HTMLResponse(html, headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"})


def static_routes() -> APIRouter:
    """Style, scripts and mark of the pages."""
    files = {name: (_FOLDER / "static" / name).read_bytes() for name in _STATIC}
    router = APIRouter(include_in_schema=False)

    @router.get("/static/{name}")
    def static(name: str) -> Response:
        """One of them."""
        if name not in files:
            return Response(status_code=404)
        return Response(files[name], media_type=_STATIC[name], headers={"Cache-Control": "max-age=300"})

    return router
