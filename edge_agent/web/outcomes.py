"""POST /v1/outcomes: the verdict was right, or wrong and the part is something else."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, ValidationError

from contracts.errors import DatasetError, QuotaError
from contracts.frame import Outcome, OutcomeSource
from contracts.names import Identifier, Label, Name
from edge_agent.outcomes import Outcomes, confirmed_label
from edge_agent.web.described import SAYING
from edge_agent.web.errors import Refusal

_LARGEST_BODY_BYTES = 10_000
_EXAMPLE = 'send JSON such as {"part_id": "p-17", "label": "scratch"} or {"part_id": "p-17", "right": true}'


class Saying(BaseModel):
    """What somebody says about a part. Either `right`, or the `label` it really has; `new` allows an unknown one."""

    model_config = ConfigDict(extra="forbid")

    part_id: Identifier
    camera: Name | None = None
    right: bool = False
    label: Label | None = None
    new: bool = False
    source: OutcomeSource = OutcomeSource.OPERATOR
    rater: Identifier = "operator"


def _body_of(model: type[BaseModel]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": model.model_json_schema()}}}}


def outcome_routes(
    outcomes: Outcomes,
    *,
    labels: Callable[[], Sequence[str]],
    good_labels: Callable[[], Sequence[str]],
    recorded: Callable[[Outcome], None],
) -> APIRouter:
    """The routes. `labels`: all classes that may be named; `good_labels`: those that pass; `recorded` hears of each."""
    router = APIRouter()

    @router.post("/v1/outcomes", status_code=201, responses=SAYING, openapi_extra=_body_of(Saying))
    async def say(request: Request) -> JSONResponse:
        """Record the outcome of one part; repeating it changes nothing."""
        saying = _parse(await _body(request))
        outcome = await run_in_threadpool(_record, outcomes, saying, labels(), good_labels())
        recorded(outcome)
        return JSONResponse(outcome.model_dump(mode="json"), 201)

    return router


def _record(outcomes: Outcomes, saying: Saying, labels: Sequence[str], good_labels: Sequence[str]) -> Outcome:
    try:
        entry = outcomes.find(saying.part_id, saying.camera)
        label = saying.label if not saying.right else confirmed_label(entry.verdict, good_labels)
        if label is None:
            raise Refusal(422, f"the verdict on part {saying.part_id} took no side, so it cannot be right", _EXAMPLE)
        if not saying.right and not saying.new:
            _check_known(label, labels)
        outcome = outcomes.add(entry, label, source=saying.source, rater=saying.rater, camera=saying.camera)
        outcomes.keep_image(entry.verdict, label, good_labels)
        return outcome
    except DatasetError as error:
        raise Refusal(404, str(error), "use the part id of the verdict") from error
    except QuotaError as error:
        raise Refusal(503, str(error), "try again once there is room", retry_after_seconds=10) from error


def _check_known(label: str, labels: Sequence[str]) -> None:
    if labels and label not in labels:
        near = difflib.get_close_matches(label, labels, n=1)
        hint = f"did you mean {near[0]!r}? " if near else f"known: {', '.join(labels)}. "
        raise Refusal(
            422, f"no class is called {label!r}", f'{hint}Send "new": true to name a class for the first time'
        )


def _parse(body: bytes) -> Saying:
    try:
        values: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "the body is not JSON", _EXAMPLE) from error
    try:
        saying = Saying.model_validate(values)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}" for item in error.errors()[:5])
        raise Refusal(422, wrong, _EXAMPLE) from error
    if saying.right == (saying.label is not None):
        raise Refusal(422, "either right or label is needed, not both", _EXAMPLE)
    return saying


async def _body(request: Request) -> bytes:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refusal(415, "an outcome is JSON", _EXAMPLE)
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > _LARGEST_BODY_BYTES:
            raise Refusal(413, f"the body is larger than {_LARGEST_BODY_BYTES} bytes", _EXAMPLE)
    return bytes(data)
