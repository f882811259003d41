"""What the OpenAPI document says that the code of the routes does not."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, TypeAdapter

from contracts.frame import Frame, Outcome, Verdict
from contracts.part import PartVerdict
from edge_agent.products.settings import Code

IMAGE_TYPES = ("image/jpeg", "image/png", "image/bmp", "image/tiff")


class Refused(BaseModel):
    """Every refusal: what is wrong, and what to do about it."""

    error: str
    remedy: str


class NoVerdict(Refused):
    """The image or the part was taken, and there is no verdict on it."""

    verdict: Verdict | PartVerdict


class Ready(BaseModel):
    """Whether images can be inspected, and why not."""

    ready: bool
    reason: str | None


class VerdictEntry(BaseModel):
    """One row of the record."""

    number: int
    verdict: Verdict
    outcome: Outcome | None


class Verdicts(BaseModel):
    """Newest first; `next` is the `before` of the following page."""

    verdicts: list[VerdictEntry]
    next: int | None


_DOOR: dict[int | str, dict[str, Any]] = {
    401: {"model": Refused, "description": "A password or a key is needed."},
    403: {"model": Refused, "description": "The key's client may not do that, or the request is a foreign page's."},
}
READING: dict[int | str, dict[str, Any]] = {**_DOOR, 422: {"model": Refused, "description": "A parameter is wrong."}}
JUDGING: dict[int | str, dict[str, Any]] = {
    **_DOOR,
    200: {"model": Verdict | PartVerdict, "description": "The verdict, which is on record."},
    400: {"model": Refused, "description": "A parameter or the form is wrong."},
    404: {"model": Refused, "description": "No such camera or part."},
    411: {"model": Refused, "description": "A form without its length."},
    413: {"model": Refused, "description": "The image is too large."},
    415: {"model": Refused, "description": "That is no image."},
    422: {"model": NoVerdict, "description": "NO_VERDICT, with the reason; it is on record."},
    503: {"model": Refused, "description": "Too much at once, or not ready: see Retry-After. Nothing was inspected."},
}
SAYING: dict[int | str, dict[str, Any]] = {
    **_DOOR,
    201: {"model": Outcome, "description": "It is on record."},
    404: {"model": Refused, "description": "No verdict on such a part."},
    415: {"model": Refused, "description": "An outcome is JSON."},
    422: {"model": Refused, "description": "No such class, or the values do not fit together."},
    503: {"model": Refused, "description": "There is no room on the disk."},
}
PROBING: dict[int | str, dict[str, Any]] = {200: {"model": Ready}, 503: {"model": Ready, "description": "Not ready."}}
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_FORM = {"schema": {"type": "object", "required": ["image"], "properties": {"image": _BYTES["schema"]}}}
IMAGE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {**dict.fromkeys((*IMAGE_TYPES, "application/octet-stream"), _BYTES), "multipart/form-data": _FORM},
    }
}


def parameters(**meanings: str) -> dict[str, Any]:
    """Query parameters that may come as headers as well (`part_id`: `X-Part-Id`), for `openapi_extra`."""
    patterns = {**Frame.model_json_schema()["properties"], "product_code": TypeAdapter(Code).json_schema()}
    schemas = {
        name: {"type": "string", "pattern": patterns.get(name, patterns["camera"])["pattern"]} for name in meanings
    }
    found = [
        {"name": name, "in": "query", "required": False, "description": meaning, "schema": schemas[name]}
        for name, meaning in meanings.items()
    ]
    return {"parameters": found}


def describe(app: FastAPI, *, about: str) -> None:
    """Let `/openapi.json` say how one may come in, beside what FastAPI knows."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = made()
            document["info"]["description"] = about
            document.setdefault("components", {})["securitySchemes"] = {
                "key": {"type": "http", "scheme": "bearer", "description": "lineside agent key NAME; or X-Api-Key"},
                "password": {"type": "http", "scheme": "basic", "description": "the operator's; asked beyond loopback"},
            }
            document["security"] = [{"key": []}, {"password": []}, {}]
        return app.openapi_schema or made()

    app.openapi = openapi  # type: ignore[method-assign]
