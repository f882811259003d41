"""Label Studio: tasks out without what the model said, answers back by the rules of the page, all or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.errors import DatasetError
from monitor import label_studio
from monitor.label_desk import Imported, UnknownClass
from monitor.people import People
from monitor.ratings import Answer
from monitor.store import Store
from tests.monitor.test_labels import accept, desk, upload
from tests.monitor.test_ratings import CLASSES, uses

NOBODY = People((), b"k" * 32)


def exported(store: Store, **wanted: Any) -> dict[str, Any]:
    with store.read() as session:
        return label_studio.export(session, site="mono", labelled=wanted.get("labelled", False), extra=CLASSES)


def annotated(task: dict[str, Any], label: str, *, by: Any = 10, number: int = 1, **changes: Any) -> dict[str, Any]:
    """The task as Label Studio exports it after somebody answered."""
    annotation = {
        "id": 1000 + number,
        "completed_by": by,
        "result": [
            {
                "value": {"choices": [label]},
                "id": "Dx_aB91ISN",
                "from_name": "label",
                "to_name": "image",
                "type": "choices",
                "origin": "manual",
            }
        ],
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2026-03-09T22:16:08.728353Z",
        "lead_time": 4.288,
        "parent_annotation": None,
        **changes,
    }
    meta = {"id": number, "drafts": [], "predictions": [], "project": 83, "total_annotations": 1, "inner_id": number}
    return {**meta, "annotations": [annotation], "data": task["data"]}


def test_a_task_shows_the_picture_and_nothing_that_the_model_said(store: Store) -> None:
    image = accept(store, upload("p1"))
    found = exported(store)
    [task] = found["tasks"]
    assert task["data"] == {
        "image": f"/v1/images/{image}",
        "lineside_image": image,
        "part": "p1",
        "site": "mono",
        "camera": "cam-a",
        "product": "cap",
        "seen": task["data"]["seen"],
    }
    assert set(task) == {"data"}
    assert '<Choice value="scratch" hotkey="3"/>' in found["config"]


def test_answers_come_back_by_the_rules_of_the_page(store: Store) -> None:
    people = desk(store, extra=CLASSES, second_opinions=0.0, gate_fraction=0.0)
    for part in ("p1", "p2", "p3"):
        accept(store, upload(part))
    tasks = sorted(exported(store)["tasks"], key=lambda task: str(task["data"]["part"]))
    people.answer(Answer(tasks[2]["data"]["lineside_image"], "good", "ann"))
    file = [annotated(tasks[0], "pit", number=1), annotated(tasks[1], "dent", number=2), annotated(tasks[2], "pit")]
    answers = label_studio.read(file, NOBODY, {})
    with pytest.raises(UnknownClass, match="'dent' is no class"):
        people.take_file(answers, by="lead")
    assert uses(store) == [("p3", "good", "train")]  # nothing is half imported
    assert people.take_file(answers, by="lead", new_classes=("dent",)) == Imported(taken=2, labelled=1)
    assert uses(store) == [("p3", "good", "train"), ("p1", "pit", "train")]  # the new class waits for a second person
    again = label_studio.read(file[:2], NOBODY, {})
    assert people.take_file(again, by="lead", new_classes=("dent",)) == Imported(labelled=2)
    other = label_studio.read([annotated(tasks[1], "dent", by={"id": 11, "email": "b@x.example"})], NOBODY, {})
    assert people.take_file(other, by="lead") == Imported(taken=1)
    assert uses(store)[-1] == ("p2", "dent", "train")
    assert people.agreement()["person_minutes"] == round(3 * 4.288 / 60, 2)


def test_the_share_of_one_person_holds_for_a_file_too(store: Store) -> None:
    people = desk(store, registered=("ann", "bo"), extra=CLASSES, second_opinions=0.0, free_of_share=2)
    for number in range(5):
        accept(store, upload(f"p{number}"))
    file = [annotated(task, "good", number=n) for n, task in enumerate(exported(store)["tasks"])]
    answers = label_studio.read(file, people.people, {"10": "ann"})
    assert people.take_file(answers, by="lead") == Imported(taken=2, over_share=3)


def test_labelled_pictures_go_out_with_pseudonyms(store: Store) -> None:
    people = desk(store, extra=CLASSES)
    rater = People(("ann",), b"k" * 32).pseudonym("ann")
    people.answer(Answer(accept(store, upload("p1")) or "", "pit", rater))
    [task] = exported(store, labelled=True)["tasks"]
    assert task["data"]["raters"] == f"{rater}: pit"
    assert task["annotations"][0]["result"][0]["value"] == {"choices": ["pit"]}


TASK = {"data": {"lineside_image": "abc"}}


@pytest.mark.parametrize(
    ("task", "complaint"),
    [
        ({"id": 7, "image": "x.png", "choice": "good"}, "task 7: data: .*format JSON"),
        ({"id": 7, "data": {"image": "x.png"}, "annotations": []}, "task 7: data.lineside_image"),
        ({"id": 7, **TASK, "annotations": [{"result": "good"}]}, "task 7: annotations.0.result"),
        (annotated(TASK, ""), "task 1 must choose one class"),
        (annotated(TASK, "good", by=None), "task 1 does not say who"),
        (annotated(TASK, "good", result=[{"type": "rectanglelabels", "value": {"x": 1}}]), "one choice and nothing"),
        (annotated(TASK, "good", was_cancelled=True), "holds no annotation"),
        ({**annotated(TASK, "good"), "annotations": annotated(TASK, "good")["annotations"] * 2}, "two annotations"),
    ],
)
def test_a_wrong_file_is_named_and_answers_nothing(task: dict[str, Any], complaint: str) -> None:
    with pytest.raises(DatasetError, match=complaint):
        label_studio.read([task], NOBODY, {})


def test_somebody_who_is_no_rater_here_must_be_said_who_it_is() -> None:
    people = People(("ann", "bo"), b"k" * 32)
    with pytest.raises(DatasetError, match="--person 10=NAME, one of ann, bo"):
        label_studio.read([annotated(TASK, "good")], people, {})
    [chosen] = label_studio.read([annotated(TASK, "good")], NOBODY, {"10": "rater-3"})
    assert chosen.rater == "rater-3"  # where nobody is registered, what a person calls themselves on the page
    [answer] = label_studio.read([annotated(TASK, "good")], people, {"10": "bo"})
    assert (answer.rater, answer.seconds, answer.via) == (people.pseudonym("bo"), 4.288, "label-studio")
