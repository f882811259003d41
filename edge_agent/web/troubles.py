"""What is wrong, in the reader's language."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from edge_agent.trouble import Trouble
from edge_agent.web.texts import Texts


def trouble_routes(troubles: Callable[[], Sequence[Trouble]]) -> APIRouter:
    """The route."""
    router = APIRouter()

    @router.get("/v1/troubles")
    def now() -> JSONResponse:
        """What is wrong now; nothing: all is well."""
        found = [
            {"code": each.code, "text": str(each), "parameters": dict(each.parameters), "details": each.details}
            for each in troubles()
        ]
        return JSONResponse({"troubles": found})

    return router


def say(trouble: Trouble, texts: Texts) -> str:
    """One sentence or two; a source of images is called and advised about by its kind."""
    kind = trouble.parameters.get("kind", "")
    of_source = {
        "what": texts["source"].get(kind, "{name}").format(**{"name": "", **trouble.parameters}),
        "advice": texts["advice"].get(kind, ""),
    }
    return texts["trouble"][trouble.code].format(**of_source, **trouble.parameters)
