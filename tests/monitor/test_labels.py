"""Labels: asked once, counted once, the verdict hidden, a fixed share kept for the gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from contracts.frame import PICKED_SOURCES, Clock, Decision, Frame, Outcome, OutcomeSource, Verdict
from contracts.telemetry import OutcomeReport
from contracts.upload import ImageUpload
from monitor import labels, ratings
from monitor.actions import Actions
from monitor.gold import pin_gold
from monitor.label_desk import LabelDesk
from monitor.orders import OrderDesk
from monitor.people import People
from monitor.ratings import Answer
from monitor.rulebook import Rulebook
from monitor.rules.settings import RuleSettings
from monitor.settings import LabelSettings
from monitor.store import Store
from monitor.store.label_tables import ImageRow, LabelRow
from monitor.store.rollout_tables import OrderRow
from tests.monitor.telemetry import HASH, START

BLOB = "b" * 64


def desk(store: Store, *, registered: tuple[str, ...] = (), **settings: Any) -> LabelDesk:
    """Where people label, in front of a store without a monitor."""
    rulebook = Rulebook(lambda _site: RuleSettings(), Actions(OrderDesk(valid_hours=1.0, resend_seconds=1.0)))
    return LabelDesk(store, rulebook, People(registered, b"k" * 32), settings=LabelSettings(**settings))


def upload(
    part: str, source: OutcomeSource = OutcomeSource.AUDIT, *, order_id: str | None = None, score: float = 0.9
) -> ImageUpload:
    frame = Frame(part_id=part, sequence=1, product="cap", camera="cam-a", triggered_at=START, clock=Clock.SYNCHRONISED)
    verdict = Verdict(frame=frame, decision=Decision.NG, label="scratch", defect_score=score, bundle_hash=HASH)
    return ImageUpload(site="mono", agent="agent-1", source=source, order_id=order_id, verdict=verdict)


def accept(store: Store, described: ImageUpload) -> str | None:
    with store.write() as session:
        return labels.accept_image(session, described, blob=BLOB, size_bytes=10, media_type="image/png", at=START)


def answer(store: Store, image_id: str, label: str = "good", gate_fraction: float = 0.25) -> str:
    settings = LabelSettings(gate_fraction=gate_fraction, second_opinions=0.0)
    with store.write() as session:
        [row] = ratings.rate(session, Answer(image_id, label, "rater-1"), at=START, settings=settings, people=0)
        return row.use


def report(store: Store, said: OutcomeReport, *, extra: tuple[str, ...] = ()) -> list[str]:
    """What counts from then on: `part label use`."""
    with store.write() as session:
        rows = ratings.report(
            session, said, site="mono", agent="agent-1", at=START, settings=LabelSettings(extra=extra)
        )
        return [f"{row.part_id} {row.label} {row.use}" for row in rows]


def outcome(part: str, label: str = "good", source: OutcomeSource = OutcomeSource.OPERATOR) -> OutcomeReport:
    said = Outcome(part_id=part, label=label, source=source, rater="operator-7", decided_at=START)
    return OutcomeReport(
        outcome=said,
        camera="cam-a",
        product="cap",
        bundle_hash=HASH,
        decision=Decision.NG,
        label="scratch",
        triggered_at=START,
    )


def test_part_is_asked_about_once_whatever_asked_for_it(store: Store) -> None:
    assert accept(store, upload("p1")) is not None
    assert accept(store, upload("p1", OutcomeSource.DRIFT_SAMPLE)) is None


def test_first_answer_stands(store: Store) -> None:
    image_id = accept(store, upload("p1")) or ""
    answer(store, image_id)
    with pytest.raises(labels.AlreadyLabelled):
        answer(store, image_id, "scratch")
    with store.read() as session:
        assert [row.label for row in session.scalars(select(LabelRow))] == ["good"]


def test_unknown_and_expired_images_take_no_label(store: Store) -> None:
    with pytest.raises(KeyError):
        answer(store, "nowhere")
    with store.write() as session:
        session.add(
            OrderRow(
                order_id="sample-1",
                site="mono",
                agent="agent-1",
                kind="sample",
                body={},
                issued_at=START,
                expires_at=START,
                incident_id="incident-1",
            )
        )
    image_id = accept(store, upload("p1", OutcomeSource.DRIFT_SAMPLE, order_id="sample-1")) or ""
    with store.write() as session:
        assert labels.expire_images(session, incident_id="incident-1") == 1
    with pytest.raises(labels.QuestionExpired):
        answer(store, image_id)


def test_queue_asks_for_the_drift_first_and_hides_the_verdict(store: Store) -> None:
    for part, source in (
        ("atypical", OutcomeSource.ATYPICAL),
        ("audit", OutcomeSource.AUDIT),
        ("unsure", OutcomeSource.UNSURE),
        ("drift", OutcomeSource.DRIFT_SAMPLE),
        ("overruled", OutcomeSource.OVERRULED),
    ):
        accept(store, upload(part, source, score=0.55 if source is OutcomeSource.UNSURE else 0.9))
    asked = desk(store, extra=("dent",)).queue(limit=10, site="mono")
    assert [item["part_id"] for item in asked["items"]] == ["drift", "audit", "overruled", "unsure", "atypical"]
    assert asked["labels"] == ["dent"]
    told = str(asked["items"])
    assert "NG" not in told
    assert "scratch" not in told
    assert "source" not in told


def test_quarter_of_the_random_labels_is_for_the_gate_and_no_picked_one(store: Store) -> None:
    for number in range(200):
        random_id = accept(store, upload(f"r{number}", OutcomeSource.DRIFT_SAMPLE)) or ""
        assert answer(store, random_id) == (
            "gate" if labels.is_for_gate("mono", f"r{number}", fraction=0.25) else "train"
        )
    for number, source in enumerate(PICKED_SOURCES * 7):
        picked_id = accept(store, upload(f"a{number}", source)) or ""
        assert answer(store, picked_id, gate_fraction=1.0) == "train"
    with store.read() as session:
        uses = [row.use for row in session.scalars(select(LabelRow))]
    assert 30 < uses.count("gate") < 70


def test_outcome_of_the_line_counts_once_per_source_and_trains_nothing(store: Store) -> None:
    assert report(store, outcome("p1")) == ["p1 good none"]
    assert report(store, outcome("p1")) == []
    assert report(store, outcome("p1", source=OutcomeSource.END_OF_LINE)) == ["p1 good none"]


def test_what_an_operator_said_and_what_a_rater_sees_on_its_picture_both_stand(store: Store) -> None:
    report(store, outcome("p1"))
    assert answer(store, accept(store, upload("p1", OutcomeSource.OVERRULED)) or "", "good") == "train"
    with store.read() as session:
        assert [(row.label, row.use) for row in session.scalars(select(LabelRow))] == [
            ("good", "none"),
            ("good", "train"),
        ]


def test_labels_for_training_come_with_their_images(store: Store, tmp_path: Path) -> None:
    answer(store, accept(store, upload("p1")) or "")
    report(store, outcome("p2"))
    with store.read() as session:
        rows = labels.labels_for_training(session, site="mono")
        assert [(label.part_id, image.blob) for label, image in rows] == [("p1", BLOB)]
        assert session.scalars(select(ImageRow.state)).all() == ["labelled"]


def test_an_image_of_a_gold_set_is_never_trained_on_even_where_a_station_uploads_it(store: Store) -> None:
    answer(store, accept(store, upload("p1")) or "")
    with store.write() as session:
        gold = {"site": "mono", "base_snapshot": None, "by": "lead", "reason": "first"}
        pin_gold(session, [(BLOB, "good", "1.png")], source=Path("gold.csv"), **gold)
        pin_gold(session, [("c" * 64, "good", "2.png")], source=Path("gold.csv"), **gold)
    with store.read() as session:
        assert labels.labels_for_training(session, site="mono") == []
