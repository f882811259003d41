"""Labels under `/v1/labels`: the queue, an answer, a file of answers, and how far people agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from contracts.names import Identifier, Label, Name
from monitor import label_studio
from monitor.label_desk import LabelDesk, UnknownClass
from monitor.labels import AlreadyLabelled, QuestionExpired, ShareReached
from monitor.ratings import Answer
from monitor.store.database import Store

_LONGEST_SECONDS = 3600.0


class LabelGiven(BaseModel):
    """One answer. `rater` is needed where the monitor cannot tell people apart, and not believed where it can."""

    model_config = ConfigDict(extra="forbid")

    image_id: Identifier
    label: Label
    rater: Identifier | None = Field(default=None, description="a pseudonym, never a name")
    new_class: bool = Field(default=False, description="the label is meant, although nobody has named it before")
    seconds: float | None = Field(default=None, ge=0.0, description="from the picture's appearance to the answer")


class FileBrought(BaseModel):
    """What an annotation tool exported."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["label-studio"] = "label-studio"
    tasks: list[dict[str, Any]] = Field(max_length=5000, description="telemetry waits while they are taken")
    people: dict[str, Identifier] = Field(default={}, description="the tool's number or email of a person -> name here")
    new_classes: tuple[Label, ...] = ()
    by: Identifier = "operator"


def add_labels(router: APIRouter, store: Store, desk: LabelDesk) -> None:
    """The routes."""

    def who(request: Request, claimed: str | None) -> str | None:
        """The pseudonym of whoever asks; what they claim counts only where the monitor cannot tell people apart."""
        person = getattr(request.state, "person", None)
        return claimed if person is None else desk.people.pseudonym(person)

    _add_answers(router, desk, who)
    _add_files(router, store, desk)


def _add_answers(router: APIRouter, desk: LabelDesk, who: Callable[[Request, str | None], str | None]) -> None:
    @router.get("/labels/queue")
    def label_queue(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=1000)] = 50,
        site: Name | None = None,
        rater: Identifier | None = None,
    ) -> dict[str, Any]:
        """What to ask next, and the classes to choose from. Nothing here tells what the model thought."""
        return desk.queue(limit=limit, site=site, rater=who(request, rater))

    @router.get("/labels/agreement")
    def label_agreement(site: Name | None = None) -> dict[str, Any]:
        """How far people agree (kappa with its interval), and the minutes that labels cost; of nobody alone."""
        return desk.agreement(site=site)

    @router.post("/labels", status_code=201)
    def give_label(request: Request, given: LabelGiven) -> dict[str, Any]:
        """A rater says what a part is. 404 unknown image, 409 answered before, 410 no longer asked about,
        422 a class that nobody has named before, 429 this person's share is used up. `counts`: whether the label counts
        already; a new class waits for a second person."""
        rater = who(request, given.rater)
        if rater is None:
            raise HTTPException(422, "say who answers: rater = a pseudonym")
        seconds = None if given.seconds is None else min(given.seconds, _LONGEST_SECONDS)
        via: Literal["page", "program"] = "page" if request.headers.get("x-lineside") == "page" else "program"
        answer = Answer(given.image_id, given.label, rater, seconds, via)
        try:
            counts = desk.answer(answer, new_class=given.new_class)
        except KeyError:
            raise HTTPException(404, f"there is no image {given.image_id!r}") from None
        except UnknownClass as error:
            raise HTTPException(422, f"{error} To name a new class, send new_class = true") from None
        except AlreadyLabelled as error:
            raise HTTPException(409, str(error)) from None
        except QuestionExpired as error:
            raise HTTPException(410, str(error)) from None
        except ShareReached as error:
            raise HTTPException(429, str(error)) from None
        return {"image_id": given.image_id, "counts": counts}


def _add_files(router: APIRouter, store: Store, desk: LabelDesk) -> None:
    @router.get("/labels/tasks")
    def label_tasks(site: Name | None = None, labelled: bool = False) -> dict[str, Any]:
        """The queue as tasks of Label Studio, without predictions; `labelled`: those that have their label, with it."""
        with store.read() as session:
            return label_studio.export(session, site=site, labelled=labelled, extra=desk.extra)

    @router.post("/labels/import")
    def label_import(brought: FileBrought) -> dict[str, Any]:
        """Answers from Label Studio, by the same rules as the page; all of the file or, where it is wrong, nothing."""
        answers = label_studio.read(brought.tasks, desk.people, brought.people)
        try:
            done = desk.take_file(answers, by=brought.by, new_classes=brought.new_classes)
        except KeyError as error:
            raise HTTPException(422, f"there is no image {error.args[0]!r} here; nothing was imported") from None
        except UnknownClass as error:
            raise HTTPException(
                422, f"{error}; a new class must be named with --new-class; nothing was imported"
            ) from None
        return {"taken": done.taken, "labelled": done.labelled, "expired": done.expired, "over_share": done.over_share}
