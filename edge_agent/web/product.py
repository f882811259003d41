"""POST /v1/product: the line makes another product from now on. GET: what it said last."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from contracts.errors import OrderError
from edge_agent.products.changeover import Changeover
from edge_agent.web.described import READING, parameters
from edge_agent.web.errors import Refusal
from edge_agent.web.inspect import CODE, NAME, request_value

CODE_ALLOWED = "1 to 128 characters of one line"


def product_routes(changeover: Changeover) -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.post(
        "/v1/product",
        responses=READING,
        openapi_extra=parameters(product_code="its name or one of its codes", camera="only before this one"),
    )
    async def change(request: Request) -> dict[str, Any]:
        """The line makes `product_code` from now on, before `camera` or all of them. 404 for an unknown one: the parts
        that follow get no verdict until a known one is said."""
        code = request_value(request, "product_code", CODE, CODE_ALLOWED)
        camera = request_value(request, "camera", NAME, "1 to 64 of a-z 0-9 -")
        if code is None:
            raise Refusal(400, "the request names no product", "say ?product_code=, a name or code of [[products]]")
        try:
            return {"product": changeover.say(code, camera=camera), "camera": camera}
        except OrderError as error:
            raise Refusal(404, str(error), "add it to the [[products]] in the agent's settings") from error

    @router.get("/v1/product", responses=READING)
    async def now() -> dict[str, Any]:
        """What the line said last, by camera (`*`: all of them)."""
        said = changeover.now().items()
        return {"said": {camera or "*": {"product": each.product, "code": each.code} for camera, each in said}}

    return router
