"""Several people about one image: what counts, who is asked, what it cost."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from contracts.frame import OutcomeSource
from monitor import labels
from monitor.evidence import Period, random_defects
from monitor.ratings import Answer
from monitor.rules.rating import wants_second_opinion
from monitor.store import Store
from monitor.store.label_tables import ImageRow, LabelRow, RatingRow
from monitor.store.rule_tables import EventRow
from tests.monitor.telemetry import START
from tests.monitor.test_labels import accept, answer, desk, outcome, report, upload
from tests.simulators.older_store import take_back

CLASSES = ("good", "pit", "scratch")


def uses(store: Store) -> list[tuple[str, str, str]]:
    with store.read() as session:
        rows = session.scalars(select(LabelRow).order_by(LabelRow.id))
        return [(row.part_id, row.label, row.use) for row in rows]


def states(store: Store) -> dict[str, str]:
    with store.read() as session:
        return {row.part_id: row.state for row in session.scalars(select(ImageRow))}


def test_second_opinion_delays_nothing_and_a_difference_teaches_nothing_until_a_third_person_decides(
    store: Store,
) -> None:
    people = desk(store, extra=CLASSES, second_opinions=1.0, gate_fraction=0.0)
    image = accept(store, upload("p1")) or ""
    assert people.answer(Answer(image, "pit", "ann"))
    assert (uses(store), states(store)) == ([("p1", "pit", "train")], {"p1": "second"})
    with pytest.raises(labels.AlreadyLabelled):
        people.answer(Answer(image, "good", "ann"))
    people.answer(Answer(image, "good", "bo"))
    assert uses(store) == [("p1", "pit", "disputed")]
    with store.read() as session:
        assert labels.labels_for_training(session, site="mono") == []
        assert random_defects(session, "mono", Period(START, START), ("good",)) == (0, 0)
    people.answer(Answer(image, "good", "cy"))
    assert (uses(store), states(store)) == ([("p1", "good", "train")], {"p1": "labelled"})
    with store.read() as session:
        assert random_defects(session, "mono", Period(START, START), ("good",)) == (0, 1)


def test_a_new_class_counts_once_a_second_person_names_it_wherever(store: Store) -> None:
    people = desk(store, extra=CLASSES, second_opinions=0.0, gate_fraction=0.0)
    first, second = (accept(store, upload(part)) or "" for part in ("p1", "p2"))
    assert not people.answer(Answer(first, "dent", "ann"), new_class=True)
    assert (uses(store), states(store)["p1"]) == ([], "queued")
    assert "dent" in people.queue(limit=9, site="mono")["labels"]
    assert people.answer(Answer(second, "dent", "bo"))
    assert sorted(uses(store)) == [("p1", "dent", "train"), ("p2", "dent", "train")]
    with store.read() as session:
        codes = session.scalars(select(EventRow.code)).all()
    assert codes.count("labels.class-confirmed") == 1


def test_a_class_that_one_operator_alone_names_counts_for_nothing(store: Store) -> None:
    known = desk(store, extra=CLASSES, second_opinions=0.0)
    known.answer(Answer(accept(store, upload("p0")) or "", "good", "ann"))
    said = outcome("p1", "dent")
    other = said.model_copy(
        update={"outcome": said.outcome.model_copy(update={"part_id": "p2", "rater": "operator-8"})}
    )
    again = said.model_copy(update={"outcome": said.outcome.model_copy(update={"part_id": "p3"})})
    assert report(store, said, extra=CLASSES) == []
    assert report(store, again, extra=CLASSES) == []
    assert ("p1", "dent", "waiting") in uses(store)
    assert report(store, other, extra=CLASSES) == ["p1 dent none", "p3 dent none", "p2 dent none"]


def test_nobody_gives_more_than_their_share_where_people_are_told_apart(store: Store) -> None:
    settings = {"extra": CLASSES, "second_opinions": 0.0, "most_of_one_person": 0.5, "free_of_share": 4}
    images = [accept(store, upload(f"p{n}")) or "" for n in range(12)]
    people = desk(store, registered=("ann", "bo"), **settings)
    for image in images[:4]:
        people.answer(Answer(image, "good", "ann"))
    with pytest.raises(labels.ShareReached):
        people.answer(Answer(images[4], "good", "ann"))
    mine, others = people.queue(limit=20, rater="ann"), people.queue(limit=20, rater="bo")
    assert (mine["items"], mine["share_reached"]) == ([], True)
    assert (len(others["items"]), others["share_reached"]) == (8, False)
    for image in images[4:8]:
        people.answer(Answer(image, "good", "bo"))
    people.answer(Answer(images[8], "good", "ann"))
    alone = desk(store, **settings)
    for image in images[9:]:
        alone.answer(Answer(image, "good", "ann"))


def test_queue_asks_random_images_as_they_came_and_picked_ones_where_the_model_was_least_sure(store: Store) -> None:
    for part, source, score in (
        ("sure", OutcomeSource.ATYPICAL, 0.99),
        ("unsure", OutcomeSource.ATYPICAL, 0.52),
        ("overruled", OutcomeSource.ATYPICAL, 0.7),
        ("first", OutcomeSource.AUDIT, 0.9),
        ("later", OutcomeSource.AUDIT, 0.5),
    ):
        accept(store, upload(part, source, score=score))
        with store.write() as session:
            row = session.scalars(select(ImageRow).where(ImageRow.part_id == part)).one()
            row.received_at = START + timedelta(seconds=len(session.scalars(select(ImageRow.image_id)).all()))
    for part in ("overruled", "later"):
        report(store, outcome(part))
    people = desk(store, extra=CLASSES, second_opinions=1.0)
    asked = [item["part_id"] for item in people.queue(limit=9, rater="bo")["items"]]
    assert asked == ["first", "later", "overruled", "unsure", "sure"]
    people.answer(Answer(people.queue(limit=1)["items"][0]["image_id"], "good", "ann"))
    assert [item["part_id"] for item in people.queue(limit=9, rater="bo")["items"]] == [*asked[1:], "first"]
    assert [item["part_id"] for item in people.queue(limit=9, rater="ann")["items"]] == asked[1:]
    assert [item["part_id"] for item in people.queue(limit=9)["items"]] == asked[1:]


def test_report_says_how_people_agree_and_what_it_cost_and_nothing_of_one_of_them(store: Store) -> None:
    people = desk(store, extra=CLASSES, second_opinions=1.0)
    for number, (first, second) in enumerate([("good", "good"), ("pit", "pit"), ("good", "pit"), ("pit", "pit")]):
        image = accept(store, upload(f"p{number}")) or ""
        people.answer(Answer(image, first, "ann", seconds=30.0))
        people.answer(Answer(image, second, "bo", seconds=60.0))
    found = people.agreement()
    assert (found["images"], found["share"], found["kappa"], found["method"]) == (4, 0.75, 0.5, "Cohen")
    assert found["low"] < 0.5 < found["high"]
    assert (found["person_minutes"], found["median_seconds"], found["disputed"]) == (6.0, 45.0, 1)
    assert "ann" not in str(found)


def test_share_of_second_opinions_is_drawn_by_the_parts_name(store: Store) -> None:
    people = desk(store, extra=CLASSES, second_opinions=0.3)
    for number in range(40):
        people.answer(Answer(accept(store, upload(f"p{number}")) or "", "good", "ann"))
    wanted = {f"p{n}" for n in range(40) if wants_second_opinion("mono", f"p{n}", share=0.3)}
    assert {part for part, state in states(store).items() if state == "second"} == wanted
    assert 4 < len(wanted) < 22


def test_labels_of_an_older_database_are_one_persons_word_each(tmp_path: Path) -> None:
    store = Store(tmp_path / "monitor.db")
    answer(store, accept(store, upload("p1")) or "", "pit")
    store.close()
    take_back(tmp_path / "monitor.db", to="0004")
    store = Store(tmp_path / "monitor.db")
    with store.read() as session:
        assert [(row.rater, row.label) for row in session.scalars(select(RatingRow))] == [("rater-1", "pit")]
    store.close()
