"""POST /v1/trigger: take a picture of this part now, and answer with its verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from contracts.errors import LinkError, QuotaError
from edge_agent.sources.camera import CameraSource
from edge_agent.web.errors import Refusal
from edge_agent.web.inspect import NAME, PART_ID, request_value, verdict_response, wait_for_verdict

_REMEDY = "treat this part as not inspected; trigger again when the camera is back"


def trigger_routes(
    cameras: Mapping[str, CameraSource], *, unready: Callable[[], str | None], count_refused: Callable[[], None]
) -> APIRouter:
    """The routes. `unready` says why no image can be inspected now, or None."""
    router = APIRouter()

    @router.post("/v1/trigger")
    async def trigger(request: Request) -> JSONResponse:
        """The verdict on a picture of `camera` that is taken now, of the part `part_id` where that is given."""
        camera = _camera(request, cameras)
        part_id = request_value(request, "part_id", PART_ID, "1 to 128 of A-Z a-z 0-9 _ . : -")
        reason = unready()
        if reason is not None:
            count_refused()
            raise Refusal(503, reason, "try again when GET /ready answers 200", retry_after_seconds=5)
        try:
            verdict = await wait_for_verdict(camera.trigger(part_id))
        except QuotaError as error:
            count_refused()
            raise Refusal(503, str(error), "wait and trigger again", retry_after_seconds=1) from error
        except LinkError as error:
            count_refused()
            raise Refusal(503, str(error), _REMEDY, retry_after_seconds=5) from error
        return verdict_response(verdict)

    return router


def _camera(request: Request, cameras: Mapping[str, CameraSource]) -> CameraSource:
    triggered = sorted(name for name, camera in cameras.items() if camera.triggered)
    name = request_value(request, "camera", NAME, "1 to 64 of a-z 0-9 -")
    if name is None and len(triggered) == 1:
        name = triggered[0]
    if name is None:
        raise Refusal(400, "the request names no camera", f"say ?camera=; known: {', '.join(triggered) or 'none'}")
    if name not in triggered:
        what = "is not triggered by software" if name in cameras else "is not known"
        remedy = f"set trigger = 'software' in its [[cameras]]; triggered by software: {', '.join(triggered) or 'none'}"
        raise Refusal(404, f"camera {name!r} {what}", remedy)
    return cameras[name]
