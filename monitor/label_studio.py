"""Label Studio's JSON: tasks for people who would rather label there, and what they answered.

A task (https://labelstud.io/guide/task_format) holds the picture and what the page shows of it, under `data`; no
prediction, because labels are blind. `data.lineside_image` comes back unchanged and says which image was meant: the
tool numbers tasks by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts.errors import DatasetError
from contracts.names import Identifier, Label
from monitor import classes, labels
from monitor.people import People
from monitor.ratings import Answer
from monitor.store.label_tables import ImageRow, LabelRow, RatingRow

CONTROL, OBJECT = "label", "image"
KEY = "lineside_image"
_MOST_TASKS = 100_000


class _Read(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Value(_Read):
    choices: list[Label] = Field(min_length=1, max_length=1)


class _Result(_Read):
    type: str
    value: dict[str, Any] = {}


class _Annotation(_Read):
    result: list[_Result] = []
    was_cancelled: bool = False
    completed_by: int | str | dict[str, Any] | None = None
    lead_time: float | None = Field(default=None, ge=0.0)


class _Data(_Read):
    lineside_image: Identifier


class _Task(_Read):
    id: int | str | None = None
    data: _Data
    annotations: list[_Annotation]


def export(session: Session, *, site: str | None, labelled: bool, extra: Iterable[str]) -> dict[str, Any]:
    """`tasks` and the labelling interface that fits them (`config`). A labelled task says by pseudonym who answered, to
    be read by people: Label Studio knows users of its own."""
    extra = tuple(extra)
    rows = _labelled(session, site) if labelled else _asked(session, site)
    sites = {image.site for image, _ in rows} | ({site} if site else set())
    offered = sorted({label for name in sites for label in classes.offered(session, name, extra=extra)})
    raters = _raters(session, site) if labelled else {}
    return {
        "tasks": [_task(image, label, raters.get(image.image_id, [])) for image, label in rows],
        "config": interface(offered),
    }


def interface(offered: Sequence[str]) -> str:
    """The project's labelling interface: one choice for each picture, with keys."""
    choices = "\n".join(
        f"    <Choice value={quoteattr(label)}{f' hotkey={quoteattr(str(n))}' if n < 10 else ''}/>"
        for n, label in enumerate(offered, start=1)
    )
    return (
        f'<View>\n  <Image name="{OBJECT}" value="$image" zoom="true"/>\n'
        f'  <Choices name="{CONTROL}" toName="{OBJECT}" choice="single" required="true">\n{choices}\n'
        "  </Choices>\n</View>\n"
    )


def _asked(session: Session, site: str | None) -> list[tuple[ImageRow, LabelRow | None]]:
    questions = labels.queue(session, limit=_MOST_TASKS, site=site)
    rows = {row.image_id: row for row in session.scalars(select(ImageRow).where(ImageRow.state == "queued"))}
    return [(rows[question.image_id], None) for question in questions]


def _labelled(session: Session, site: str | None) -> list[tuple[ImageRow, LabelRow | None]]:
    query = select(ImageRow, LabelRow).join(LabelRow, LabelRow.image_id == ImageRow.image_id).order_by(LabelRow.id)
    query = query if site is None else query.where(ImageRow.site == site)
    return [(image, label) for image, label in session.execute(query)]


def _raters(session: Session, site: str | None) -> dict[str, list[str]]:
    query = select(RatingRow).order_by(RatingRow.id)
    said = defaultdict(list)
    for row in session.scalars(query if site is None else query.where(RatingRow.site == site)):
        said[row.image_id].append(f"{row.rater}: {row.label}")
    return said


def _task(image: ImageRow, label: LabelRow | None, raters: list[str]) -> dict[str, Any]:
    data = {
        "image": f"/v1/images/{image.image_id}",
        KEY: image.image_id,
        "part": image.part_id,
        "site": image.site,
        "camera": image.camera,
        "product": image.product,
        "seen": image.triggered_at.isoformat(),
    }
    if label is None:
        return {"data": data}
    result = {
        "id": image.image_id,
        "from_name": CONTROL,
        "to_name": OBJECT,
        "type": "choices",
        "value": {"choices": [label.label]},
    }
    return {"data": {**data, "raters": "; ".join(raters)}, "annotations": [{"result": [result]}]}


def read(tasks: Sequence[Mapping[str, Any]], people: People, names: Mapping[str, str]) -> list[Answer]:
    """What people answered. `names`: how the tool calls a person (number or email) -> the name here. Skipped tasks and
    cancelled annotations answer nothing. Raises DatasetError that names the first wrong task; then nothing counts."""
    answers, seen = [], set()
    for place, raw in enumerate(tasks, start=1):
        task = _checked(raw, place)
        for annotation in task.annotations:
            if annotation.was_cancelled or not annotation.result:
                continue
            where = f"task {task.id if task.id is not None else place}"
            rater = _rater(annotation, people, names, where)
            if (task.data.lineside_image, rater) in seen:
                raise DatasetError(f"{where} has two annotations of the same person; delete the one that is not meant")
            seen.add((task.data.lineside_image, rater))
            label = _label(annotation, where)
            answers.append(Answer(task.data.lineside_image, label, rater, annotation.lead_time, "label-studio"))
    if not answers:
        raise DatasetError("the file holds no annotation; label first, and export as JSON (not JSON-MIN or CSV)")
    return answers


def _checked(raw: Mapping[str, Any], place: int) -> _Task:
    try:
        return _Task.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        number = raw.get("id", place)
        raise DatasetError(
            f"task {number}: {key}: {first['msg']}; import Label Studio's export in the format JSON, of tasks that "
            "`lineside labels export` wrote"
        ) from error


def _label(annotation: _Annotation, where: str) -> str:
    chosen = [result for result in annotation.result if result.type == "choices"]
    if len(chosen) != 1 or len(annotation.result) != 1:
        raise DatasetError(f"{where} must have one choice and nothing else, it has {len(annotation.result)} results")
    try:
        return _Value.model_validate(chosen[0].value).choices[0]
    except ValidationError as error:
        raise DatasetError(
            f"{where} must choose one class of 1 to 64 characters: {error.errors()[0]['msg']}"
        ) from error


def _rater(annotation: _Annotation, people: People, names: Mapping[str, str], where: str) -> str:
    said = annotation.completed_by
    call = str(said.get("email") or said.get("id") or "") if isinstance(said, dict) else str(said or "")
    if not call:
        raise DatasetError(f"{where} does not say who annotated it (completed_by); export it from Label Studio again")
    name = names.get(call, call)
    if not people.count and call in names:
        return name  # the pseudonym that this person has chosen on the page
    if people.count and not people.registered(name):
        raise DatasetError(
            f"{where} was annotated by {call}, who is no rater of this monitor; say who that is with "
            f"--person {call}=NAME, one of {', '.join(people.names())}"
        )
    return people.pseudonym(name)
