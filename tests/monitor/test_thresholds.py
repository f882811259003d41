"""Thresholds at the monitor: looked at first, chosen with a reason, signed with the channel, undone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from contracts.channel import Channel
from contracts.frame import OutcomeSource
from contracts.orders import CountScores, Install
from contracts.scores import EDGES, Scores, bin_of
from contracts.telemetry import Event, EventKind
from monitor.ingest import LARGEST_MESSAGE_BYTES
from monitor.store.rollout_tables import OrderRow, RefusedRow, ScoresRow
from monitor.store.rule_tables import EventRow
from tests.monitor.conftest import MakePlant
from tests.monitor.telemetry import START, envelope
from tests.monitor.test_api import client
from tests.simulators.monitored_plant import AGENT, PRODUCT, SITE, Plant

OURS = tuple(sorted({*EDGES, 0.6}))  # the bundle's own thresholds are 0.6, without a band


@pytest.fixture
def plant(make_plant: MakePlant) -> Plant:
    return make_plant()


def served(plant: Plant) -> str:
    assert plant.active_bundle is not None
    return plant.active_bundle.hash


def counted(plant: Plant, **changes: Any) -> dict[str, Any]:
    """What the plant's agent would send: 100 parts, of which 10 lie near the line."""
    counts = {bin_of(score, OURS): number for score, number in ((0.01, 70), (0.45, 6), (0.65, 4), (0.98, 20))}
    outcomes = {"good": {bin_of(0.65, OURS): 2}, "defect": {bin_of(0.45, OURS): 1, bin_of(0.98, OURS): 5}}
    fields = {
        "bundle_hash": served(plant), "product": PRODUCT, "since": START - timedelta(days=7), "until": START,
        "edges": OURS, "days": {START.date().isoformat(): counts}, "labels": {"good": counts}, "outcomes": outcomes,
        "decisions": {"OK": 76, "NG": 24},
    }  # fmt: skip
    return {**Scores.model_validate(fields).model_dump(mode="json"), **changes}


def looked(plant: Plant, **changes: Any) -> str:
    """Ask for the scores and let the agent answer; the order's id."""
    plant.works.desk.thresholds.ask(site=SITE, bundle_hash=served(plant), product=PRODUCT, days=7, by="lead")
    plant.work()
    order = plant.orders(CountScores)[-1]
    plant.event(EventKind.ORDER_DONE, order_id=order.order_id, details=counted(plant, **changes))
    plant.work()
    return str(order.order_id)


def about(plant: Plant, **more: Any) -> dict[str, Any]:
    return {"bundle_hash": served(plant), "product": PRODUCT, **more}


def meant(plant: Plant, **more: Any) -> dict[str, Any]:
    return about(plant, reason="scratches escape", by="engineer-2", **more)


def channel(plant: Plant) -> Channel:
    plant.work()
    found = plant.works.registry.channel(SITE)
    assert found is not None
    return found


def codes(plant: Plant) -> list[str]:
    with plant.works.store.read() as session:
        return [row.code for row in session.scalars(select(EventRow)) if row.kind == "thresholds"]


def test_what_was_looked_at_and_chosen_is_signed_with_the_channel_and_agents_are_told(plant: Plant) -> None:
    web, before = client(plant), channel(plant)
    looked(plant)
    seen = web.post("/v1/thresholds/preview", json=about(plant, ng=0.7, review_from=0.4)).json()
    assert seen["all"] == {"now": {"ok": 76, "review": 0, "ng": 24}, "then": {"ok": 70, "review": 10, "ng": 20}}
    assert seen["known"]["line"]["now"] == {"defects": 6, "good": 2, "misses": 1, "false_alarms": 2, "reviewed": 0}
    assert seen["known"]["line"]["then"] == {"defects": 6, "good": 2, "misses": 0, "false_alarms": 0, "reviewed": 3}
    assert channel(plant) == before, "a preview changes nothing"

    answer = web.post("/v1/thresholds", json=meant(plant, ng=0.7, review_from=0.4))
    assert (answer.status_code, answer.json()["number"]) == (201, 1)
    after = channel(plant)
    assert (after.sequence, after.active) == (before.sequence + 1, before.active)
    (entry,) = after.thresholds
    assert (entry.number, entry.bundle_hash, entry.product) == (1, served(plant), PRODUCT)
    assert (entry.thresholds.ng, entry.thresholds.review_from) == (0.7, 0.4)
    assert (entry.reason, entry.by) == ("scratches escape", "engineer-2")
    assert plant.orders(Install)[-1].channel_sequence == after.sequence
    assert codes(plant) == ["thresholds.asked", "thresholds.chosen"]
    told = web.get("/v1/thresholds").json()["thresholds"][0]
    assert told["seen"] == {"now": {"ok": 76, "review": 0, "ng": 24}, "then": {"ok": 70, "review": 10, "ng": 20}}


def test_nobody_chooses_without_having_looked_unless_that_is_meant(plant: Plant) -> None:
    web = client(plant)
    refused = web.post("/v1/thresholds", json=meant(plant, ng=0.7))
    assert refused.status_code == 409
    assert "ask for the scores first" in refused.json()["detail"]
    assert web.post("/v1/thresholds/preview", json=about(plant, ng=0.7)).status_code == 409
    assert not channel(plant).thresholds
    assert web.post("/v1/thresholds", json=meant(plant, ng=0.7, unseen=True)).status_code == 201
    assert channel(plant).thresholds[0].thresholds.ng == 0.7
    assert web.get("/v1/thresholds").json()["thresholds"][0]["seen"] is None


def test_scores_that_are_more_than_a_day_old_are_not_looked_at(plant: Plant) -> None:
    looked(plant)
    with plant.works.store.write() as session:
        row = session.scalars(select(ScoresRow)).one()
        row.received_at -= timedelta(hours=25)
    assert client(plant).post("/v1/thresholds", json=meant(plant, ng=0.7)).status_code == 409


@pytest.mark.parametrize(
    ("wish", "status", "words"),
    [
        ({"ng": 0.4, "review_from": 0.6}, 422, "review_from must not exceed ng"),
        ({"ng": 1.2}, 422, "less than or equal to 1"),
        ({"ng": 0.5, "prices": {"escape": 1, "false_reject": 1}}, 422, "not both"),
        ({}, 422, "not none"),
        ({"ng": 0.5, "bundle_hash": "c" * 64}, 404, "has no bundle"),
        ({"ng": 0.5, "reason": ""}, 422, "at least 1 character"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(
    plant: Plant, wish: dict[str, Any], status: int, words: str
) -> None:  # fmt: skip
    looked(plant)
    answer = client(plant).post("/v1/thresholds", json={**meant(plant), **wish})
    assert (answer.status_code, words in answer.text) == (status, True), answer.text
    assert not channel(plant).thresholds


def test_an_agents_token_chooses_nothing(plant: Plant) -> None:
    looked(plant)
    web = client(plant, password="secret", token="agent-token")
    headers = {"Authorization": "Bearer agent-token"}
    assert web.post("/v1/thresholds", json=meant(plant, ng=0.7), headers=headers).status_code == 401
    headers = {"Authorization": "Bearer secret"}
    assert web.post("/v1/thresholds", json=meant(plant, ng=0.7), headers=headers).status_code == 201


def test_the_band_follows_from_prices_and_from_how_many_parts_people_have_time_for(plant: Plant) -> None:
    web = client(plant)
    looked(plant)
    prices = {"escape": 20.0, "false_reject": 1.0, "review": 0.1}
    wide = web.post("/v1/thresholds/preview", json=about(plant, prices=prices)).json()
    narrow = web.post("/v1/thresholds/preview", json=about(plant, prices={**prices, "most_reviewed": 0.05})).json()
    assert wide["all"]["then"]["review"] > 5
    assert narrow["all"]["then"]["review"] <= 5
    assert wide["cost_then"] < wide["cost_now"]
    chosen = web.post("/v1/thresholds", json=meant(plant, prices={**prices, "most_reviewed": 0.05})).json()
    assert (chosen["ng"], chosen["review_from"]) == (narrow["then"]["ng"], narrow["then"]["review_from"])
    assert channel(plant).thresholds[0].thresholds.cost_review == 0.1


def test_undone_thresholds_give_way_to_those_before_them_then_to_the_bundles_own(plant: Plant) -> None:
    web = client(plant)
    looked(plant)
    for ng in (0.7, 0.8):
        web.post("/v1/thresholds", json=meant(plant, ng=ng, review_from=ng))
    assert [(entry.number, entry.thresholds.ng) for entry in channel(plant).thresholds] == [(2, 0.8)]
    why = {"reason": "too many reviews", "by": "lead"}
    assert web.post("/v1/thresholds/1/undo", json=why).status_code == 409
    assert web.post("/v1/thresholds/2/undo", json=why).json()["ng"] == 0.7
    assert [(entry.number, entry.thresholds.ng) for entry in channel(plant).thresholds] == [(3, 0.7)]
    assert web.post("/v1/thresholds/3/undo", json=why).json()["ng"] == 0.6
    assert channel(plant).thresholds == ()
    assert web.post("/v1/thresholds/9/undo", json=why).status_code == 404
    assert codes(plant).count("thresholds.undone") == 2


def test_thresholds_of_a_refused_bundle_leave_the_channel(plant: Plant) -> None:
    looked(plant)
    client(plant).post("/v1/thresholds", json=meant(plant, ng=0.7))
    with plant.works.store.write() as session:
        session.add(RefusedRow(site=SITE, bundle_hash=served(plant), reason="withdrawn", at=START))
    answer = client(plant).post("/v1/thresholds", json=meant(plant, ng=0.8))
    assert (answer.status_code, "may not run" in answer.text) == (409, True)


def test_labels_of_random_parts_count_as_known(plant: Plant) -> None:
    for _ in range(6):
        plant.upload(OutcomeSource.AUDIT)
    plant.answer_queue()
    looked(plant)
    seen = client(plant).post("/v1/thresholds/preview", json=about(plant, ng=0.7)).json()
    labels = seen["known"]["labels"]["now"]
    assert labels["defects"] + labels["good"] == 6


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bundle_hash": "c" * 64}, "not asked for"),
        ({"product": "other"}, "not asked for"),
        ({"labels": {}}, "differently many"),
        ({"days": {"2026-03-01": {"0": "x"}}}, "days.2026-03-01.0"),
    ],
)
def test_scores_that_cannot_be_right_are_refused_with_the_reason(
    plant: Plant, changes: dict[str, Any], words: str
) -> None:
    order_id = looked(plant, **changes)
    with plant.works.store.read() as session:
        order = session.get_one(OrderRow, order_id)
        assert (order.state, words in (order.outcome or "")) == ("failed", True), order.outcome
        assert not session.scalars(select(ScoresRow)).all()


def test_an_agent_that_is_asked_twice_gets_one_order_and_its_newest_scores_count(plant: Plant) -> None:
    for _ in range(2):
        plant.works.desk.thresholds.ask(site=SITE, bundle_hash=served(plant), product=PRODUCT, days=7, by="lead")
    plant.work()
    assert len(plant.orders(CountScores)) == 1
    for _ in range(2):
        looked(plant)
    with plant.works.store.read() as session:
        assert [row.agent for row in session.scalars(select(ScoresRow))] == [AGENT]


def test_what_agents_say_about_thresholds_stands_on_the_timeline(plant: Plant) -> None:
    details = {"number": 4, "ng": 0.9999, "review_from": 0.5}
    plant.event(EventKind.THRESHOLDS_REFUSED, bundle_hash=served(plant), reason="too high", details=details)
    plant.event(EventKind.THRESHOLDS_APPLIED, bundle_hash=served(plant), reason="better", details=details)
    plant.event(EventKind.THRESHOLDS_APPLIED, bundle_hash=served(plant), reason="thresholds 4 no longer decide")
    plant.work()
    assert codes(plant) == ["thresholds.refused", "thresholds.applied", "thresholds.own"]


def test_the_largest_scores_fit_into_one_message(plant: Plant) -> None:
    every = {str(number): 2**30 for number in range(len(EDGES) - 1)}
    days = {(START.date() - timedelta(days=number)).isoformat(): every for number in range(32)}
    largest = Scores.model_validate(counted(plant, days=days, labels={f"class {n}": every for n in range(32)}))
    event = Event(event=EventKind.ORDER_DONE, at=START, details=largest.model_dump(mode="json"))
    assert len(envelope(1, event).model_dump_json()) < LARGEST_MESSAGE_BYTES


def test_the_gate_judges_the_served_bundle_by_the_thresholds_that_decide(plant: Plant) -> None:
    from monitor.signed_thresholds import as_served

    looked(plant)
    web: TestClient = client(plant)
    web.post("/v1/thresholds", json=meant(plant, ng=0.8, review_from=0.8, every_product=True))
    assert plant.active_bundle is not None
    with plant.works.store.read() as session:
        manifest = as_served(session, SITE, served(plant), plant.active_bundle.manifest)
    assert manifest.thresholds.ng == 0.8
