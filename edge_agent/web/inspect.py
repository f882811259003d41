"""POST /v1/inspect: one image in, one verdict out."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException

from contracts.errors import QuotaError
from contracts.frame import Decision, Verdict
from contracts.names import Identifier, Name
from edge_agent.census import Census
from edge_agent.products.settings import Code
from edge_agent.sources.push import PushSource
from edge_agent.web.answers import doorbell
from edge_agent.web.described import IMAGE, JUDGING, parameters
from edge_agent.web.errors import Refusal

_PATIENCE_SECONDS = 30.0
_SEND_AN_IMAGE = "send the image file itself as the body, or as the part 'image' of a form (multipart/form-data)"
_OPAQUE_TYPES = ("", "application/octet-stream", "application/x-www-form-urlencoded")
PART_ID: TypeAdapter[str] = TypeAdapter(Identifier)
NAME: TypeAdapter[str] = TypeAdapter(Name)
CODE: TypeAdapter[str] = TypeAdapter(Code)


@dataclass(frozen=True)
class Defaults:
    """What an image is taken for that does not say."""

    camera: str
    product: str
    line: str


def inspect_routes(
    source: PushSource,
    *,
    defaults: Defaults,
    max_bytes: int,
    most_pairs: int,
    unready: Callable[[], str | None],
    count_refused: Callable[[], None],
) -> APIRouter:
    """The routes. `unready` says why no image can be inspected now, or None."""
    router = APIRouter()
    census = Census(most_pairs)

    @router.post(
        "/v1/inspect",
        responses=JUDGING,
        openapi_extra={
            **IMAGE,
            **parameters(
                part_id="the part's",
                product="what it is",
                product_code="as a barcode says it",
                camera="which one saw it",
            ),
        },
    )
    async def inspect(request: Request) -> Response:
        """The verdict on the image in the body; `part_id`, `product` and `camera` as query or `X-Part-Id` etc.;
        `product_code` instead of `product`: a code of [[products]], as a barcode reader gives it."""
        part_id, product, camera = _frame_values(request, defaults)
        code = request_value(request, "product_code", CODE, "1 to 128 characters of one line")
        code = code or request_value(request, "product", NAME, "1 to 64 of a-z 0-9 -")
        if not census.admit(camera, product):
            remedy = "put what changes from part to part into part_id, or raise web.most_pairs"
            raise Refusal(400, f"more than {most_pairs} pairs of camera and product", remedy)
        image = await _image(request, max_bytes)
        reason = unready()
        if reason is not None:
            count_refused()
            raise Refusal(503, reason, "try again when GET /ready answers 200", retry_after_seconds=5)
        try:
            answer = source.push(
                image, part_id=part_id, product=product, camera=camera, line=defaults.line, product_code=code
            )
            verdict = await wait_for_verdict(answer)
        except QuotaError as error:
            count_refused()
            raise Refusal(503, str(error), "wait and send the image again", retry_after_seconds=1) from error
        return verdict_response(verdict)

    return router


async def wait_for_verdict(answer: Future[Verdict]) -> Verdict:
    """The verdict once it is on record. Raises QuotaError where it takes too long, and whatever refused the image."""
    try:
        return await doorbell().wait(answer, _PATIENCE_SECONDS)
    except TimeoutError as error:
        raise QuotaError(f"no verdict within {_PATIENCE_SECONDS:g} s") from error


def verdict_response(verdict: Verdict) -> Response:
    """A verdict over HTTP: 422 with the reason where there is none."""
    if verdict.decision is not Decision.NO_VERDICT:
        return Response(verdict.model_dump_json(), media_type="application/json")
    reason, body = verdict.reason or "no reason was given", verdict.model_dump(mode="json")
    error = {"error": reason, "remedy": "send another picture of this part, or judge it by eye", "verdict": body}
    return JSONResponse(error, 422)


def _frame_values(request: Request, defaults: Defaults) -> tuple[str | None, str, str]:
    part_id = request_value(request, "part_id", PART_ID, "1 to 128 of A-Z a-z 0-9 _ . : -")
    product = request_value(request, "product", NAME, "1 to 64 of a-z 0-9 -")
    camera = request_value(request, "camera", NAME, "1 to 64 of a-z 0-9 -")
    return part_id, product or defaults.product, camera or defaults.camera


def request_value(request: Request, name: str, kind: TypeAdapter[str], allowed: str) -> str | None:
    """A value of the query or of a header (`part_id`: `X-Part-Id`), or None. Raises Refusal where it is not allowed."""
    header = f"x-{name.replace('_', '-')}"
    value = request.query_params.get(name) or request.headers.get(header)
    if value is None:
        return None
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        raise Refusal(400, f"{name} {value[:80]!r} cannot be used", f"use {allowed}") from error


async def _image(request: Request, max_bytes: int) -> bytes:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    _check_length(request, max_bytes)
    if content_type == "multipart/form-data":
        data = await _from_form(request, max_bytes)
    elif content_type.startswith("image/") or content_type in _OPAQUE_TYPES:
        data = await _from_body(request, max_bytes)
    else:
        raise Refusal(415, f"content type {content_type[:80]!r} is not an image", _SEND_AN_IMAGE)
    if not data:
        raise Refusal(400, "the request holds no image", _SEND_AN_IMAGE)
    return data


def _check_length(request: Request, max_bytes: int) -> None:
    length = request.headers.get("content-length")
    if length is not None and length.isascii() and length.isdigit() and int(length) > max_bytes + 10_000:
        raise _too_large(max_bytes)


async def _from_body(request: Request, max_bytes: int) -> bytes:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(data)


async def _from_form(request: Request, max_bytes: int) -> bytes:
    if "content-length" not in request.headers:
        raise Refusal(411, "a form without Content-Length", "send Content-Length, or the image itself as the body")
    try:
        async with request.form(max_files=2, max_fields=10, max_part_size=10_000) as form:
            files = [value for value in form.values() if isinstance(value, UploadFile)]
            if len(files) != 1:
                raise Refusal(400, f"the form holds {len(files)} files", _SEND_AN_IMAGE)
            data = await files[0].read(max_bytes + 1)
    except (MultiPartException, HTTPException) as error:
        raise Refusal(400, "the form cannot be read", _SEND_AN_IMAGE) from error
    if len(data) > max_bytes:
        raise _too_large(max_bytes)
    return data


def _too_large(max_bytes: int) -> Refusal:
    return Refusal(413, f"the image is larger than {max_bytes} bytes", "send a smaller or compressed file")
