"""POST /v1/trigger: take a picture of this part now, with one camera or all that see it; answer with the verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from contracts.errors import LinkError, QuotaError
from contracts.frame import Decision
from edge_agent.parts.parts import Parts
from edge_agent.sources.camera import CameraSource
from edge_agent.web.described import JUDGING, parameters
from edge_agent.web.errors import Refusal
from edge_agent.web.inspect import CODE, NAME, PART_ID, request_value, verdict_response, wait_for_verdict
from edge_agent.web.parts import part_after

_PART_SECONDS = 30.0
_REMEDY = "treat this part as not inspected; trigger again when the camera is back"


def trigger_routes(
    cameras: Mapping[str, CameraSource],
    parts: Parts,
    *,
    unready: Callable[[], str | None],
    count_refused: Callable[[], None],
) -> APIRouter:
    """The routes. `unready` says why no image can be inspected now, or None."""
    router = APIRouter()

    @router.post(
        "/v1/trigger",
        responses=JUDGING,
        openapi_extra=parameters(
            camera="takes the picture",
            part_id="the part's",
            part="all its cameras take one",
            product_code="as a barcode says it",
        ),
    )
    async def trigger(request: Request) -> Response:
        """The verdict on a picture of `camera` that is taken now, of the part `part_id` where that is given; or on the
        whole `part` with the id `part_id`, of which every camera that sees it takes one."""
        part_id = request_value(request, "part_id", PART_ID, "1 to 128 of A-Z a-z 0-9 _ . : -")
        part = request_value(request, "part", NAME, "1 to 64 of a-z 0-9 -")
        code = request_value(request, "product_code", CODE, "1 to 128 characters of one line")
        views = [_camera(request, cameras)] if part is None else _views(part, part_id, parts, cameras)
        reason = unready()
        if reason is not None:
            count_refused()
            raise Refusal(503, reason, "try again when GET /ready answers 200", retry_after_seconds=5)
        if part is not None and part_id is not None:
            return await _whole(views, part_id, parts, code)
        try:
            verdict = await wait_for_verdict(views[0].trigger(part_id, code))
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


def _views(part: str, part_id: str | None, parts: Parts, cameras: Mapping[str, CameraSource]) -> list[CameraSource]:
    """All cameras that see a part."""
    wanted = parts.views(part)
    if wanted is None:
        raise Refusal(404, f"part {part!r} is not known", "name one of the [[parts]] in the agent's settings")
    if part_id is None:
        raise Refusal(400, "a part that several cameras see needs an id", "say &part_id=, a new one for each part")
    others = [name for name in wanted if name not in cameras or not cameras[name].triggered]
    if others:
        remedy = "set trigger = 'software' in the [[cameras]] of each"
        raise Refusal(404, f"not triggered by software: {', '.join(others)}", remedy)
    return [cameras[name] for name in wanted]


async def _whole(views: Sequence[CameraSource], part_id: str, parts: Parts, code: str | None) -> JSONResponse:
    """The verdict on the part; a camera that takes no picture is a view that is missing."""
    before = await run_in_threadpool(parts.entries, limit=1, part_id=part_id)
    answers, refusals = [], []
    for camera in views:
        try:
            answers.append(camera.trigger(part_id, code))
        except (LinkError, QuotaError) as error:
            refusals.append(str(error))
    if not answers:
        raise Refusal(503, "; ".join(refusals), _REMEDY, retry_after_seconds=5)
    found = await part_after(parts, part_id, before[0].number if before else 0, seconds=_PART_SECONDS)
    if found is None:
        raise Refusal(503, f"part {part_id} was not decided", _REMEDY, retry_after_seconds=5)
    body = found.model_dump(mode="json")
    if found.decision is not Decision.NO_VERDICT:
        return JSONResponse(body)
    return JSONResponse({"error": found.reason, "remedy": _REMEDY, "verdict": body}, 422)
