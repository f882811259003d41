"""The whole circle, step by step, with real bundles, a real store and a real registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from contracts.errors import OrderError
from contracts.frame import OutcomeSource
from contracts.orders import Sample
from monitor import queries
from monitor.store.rollout_tables import CandidateRow, RefusedRow, ReleaseRow, RetrainRow
from monitor.store.rule_tables import EventRow, IncidentRow
from monitor.store.telemetry_tables import MessageRow, WindowRow
from runtime.bundle import Bundle
from tests.monitor.conftest import MakePlant
from tests.simulators.monitored_plant import SITE, Plant, certified_bundle, write_gold


def rows(plant: Plant, table: type[Any]) -> list[Any]:
    with plant.works.store.read() as session:
        return list(session.scalars(select(table)))


def codes(plant: Plant) -> list[str]:
    with plant.works.store.read() as session:
        return list(session.scalars(select(EventRow.code).order_by(EventRow.id)))


@pytest.fixture
def plant(make_plant: MakePlant, better_bundle: Bundle) -> Plant:
    return make_plant(retrained=better_bundle.path)


def test_first_release_becomes_active_at_once(plant: Plant) -> None:
    channel = plant.works.registry.channel(SITE)
    assert channel is not None
    assert (channel.active.number, channel.shadow, channel.sequence) == (1, None, 1)
    assert plant.active_bundle is not None
    assert [row.state for row in rows(plant, CandidateRow)] == ["promoted"]


def test_quiet_windows_end_commissioning_and_raise_nothing(plant: Plant) -> None:
    plant.minutes(60)
    with plant.works.store.read() as session:
        cameras = queries.fleet(session)["sites"][0]["agents"][0]["cameras"]
    assert [camera["state"] for camera in cameras] == ["OK", "OK"]
    assert [camera["windows"] for camera in cameras] == [60, 60]
    assert rows(plant, IncidentRow) == []


@pytest.mark.parametrize("restless", [False, True], ids=["monitor-stays", "monitor-restarts-before-every-step"])
def test_drift_that_harms_ends_in_a_better_release(plant: Plant, restless: bool, tmp_path: Path) -> None:
    plant.restless = restless
    plant.minutes(40)
    plant.good_level = 150.0
    plant.minutes(6)
    [incident] = rows(plant, IncidentRow)
    assert incident.diagnosis == "product"
    assert sum(order.random for order in plant.orders(Sample)) == 200

    plant.obey_samples()
    plant.answer_queue()
    plant.work()
    [retrain] = rows(plant, RetrainRow)
    assert retrain.incident_id == incident.incident_id
    wait_for_candidate(plant, 2, "shadowing")
    plant.minutes(5)

    channel = plant.works.registry.channel(SITE)
    assert channel is not None
    assert (channel.active.number, channel.shadow) == (2, None)
    assert [row.state for row in rows(plant, ReleaseRow)] == ["superseded", "active"]
    assert [row.state for row in rows(plant, IncidentRow)] == ["closed"]
    assert rows(plant, RetrainRow)[0].labels == len(plant.truth) - len(plant.orders(Sample))
    assert_every_decision_was_made_once(plant)
    assert_a_model_of_the_old_condition_is_refused(plant, tmp_path)


def assert_a_model_of_the_old_condition_is_refused(plant: Plant, folder: Path) -> None:
    """As good as ever on the gold set; the labels that brought the active release know better."""
    old = certified_bundle(folder / "old", ng=0.61)
    plant.works.desk.submit(old.path, site=SITE, reason="looked good at home", submitted_by="engineer")
    plant.work()
    candidate = rows(plant, CandidateRow)[-1]
    assert candidate.state == "refused"
    assert "worse on the new" in candidate.closing


def assert_every_decision_was_made_once(plant: Plant) -> None:
    """One row for each message that was sent, and one line for each step of the story."""
    story = codes(plant)
    for code in ("gold.pinned", "retrain.started", "retrain.done", "candidate.shadow", "bundle.replay-finished"):
        assert story.count(code) == 1, code
    with plant.works.store.read() as session:
        ordered = session.scalars(select(EventRow).where(EventRow.kind == "retrain", EventRow.code == "governor-go"))
        assert len(ordered.all()) == len(rows(plant, RetrainRow)) == 1
    assert story.count("candidate.submitted") == story.count("candidate.promoted") == 2
    assert story.count("channel.published") == 3
    with plant.works.store.read() as session:
        [boot] = queries.delivery(session)
    assert (boot["contiguous"], boot["processed"], boot["dropped"]) == (plant.sequence, plant.sequence, 0)
    windows = [message for message in rows(plant, MessageRow) if message.kind == "window"]
    assert len(rows(plant, WindowRow)) == len(windows)


def wait_for_candidate(plant: Plant, number: int, state: str) -> None:
    """Let the workers work until candidate `number` (from 1) stands there. The test's own time limit ends it."""
    while len(rows(plant, CandidateRow)) < number or rows(plant, CandidateRow)[number - 1].state != state:
        retrains = rows(plant, RetrainRow)
        if retrains and retrains[-1].state == "failed":
            pytest.fail(retrains[-1].result)
        found = rows(plant, CandidateRow)
        if len(found) >= number and found[number - 1].closed_at is not None:
            pytest.fail(f"{found[number - 1].state}: {found[number - 1].closing}")
        plant.work()


def test_dirt_on_one_camera_ends_in_a_ticket_and_no_retrain(plant: Plant) -> None:
    plant.minutes(40)
    plant.sensor_shift["cam-a"] = 3.0
    plant.minutes(12)
    [incident] = rows(plant, IncidentRow)
    assert incident.diagnosis == "sensor"
    assert list(incident.details["tickets"]) == ["agent-1/cam-a/default"]
    assert rows(plant, RetrainRow) == []
    assert plant.orders(Sample) == []

    with pytest.raises(OrderError, match="cannot be answered 'adopt' now, only repaired, permanent, close"):
        plant.works.desk.person_said(incident.incident_id, said="adopt", who="fitter")
    plant.sensor_shift.clear()
    plant.works.desk.person_said(incident.incident_id, said="repaired", who="fitter")
    plant.minutes(10)
    assert [row.state for row in rows(plant, IncidentRow)] == ["closed"]
    assert "person.repaired" in codes(plant)


def test_worse_candidate_is_refused_with_the_reason(plant: Plant, tmp_path: Path) -> None:
    worse = certified_bundle(tmp_path / "worse", slope=-4.0)
    plant.works.desk.submit(worse.path, site=SITE, reason="looked good at home", submitted_by="engineer")
    plant.work()
    candidate = rows(plant, CandidateRow)[-1]
    assert candidate.state == "refused"
    assert "worse on the gold set" in candidate.closing
    assert [row.bundle_hash for row in rows(plant, RefusedRow)] == [worse.hash]
    assert plant.active_bundle is not None
    assert plant.active_bundle.hash != worse.hash
    with pytest.raises(OrderError, match="refused"):
        plant.works.desk.submit(worse.path, site=SITE, reason="once more", submitted_by="engineer")


def test_candidate_without_a_certificate_is_refused(plant: Plant, tmp_path: Path) -> None:
    uncertain = certified_bundle(tmp_path / "uncertain", ng=0.9, passed=False)
    plant.works.desk.submit(uncertain.path, site=SITE, reason="new", submitted_by="engineer")
    plant.work()
    assert "argmax agreement 0.71" in rows(plant, CandidateRow)[-1].closing


def test_release_that_is_wrong_on_the_line_is_withdrawn_by_itself(plant: Plant, tmp_path: Path) -> None:
    plant.minutes(35)
    deaf = certified_bundle(tmp_path / "deaf", ng=1.0)
    gold = write_gold(tmp_path / "new-gold")
    gold.write_text(gold.read_text().replace("scratch", "good").replace("1.png,good", "1.png,scratch", 1))
    version = plant.works.desk.replace_gold(gold, site=SITE, reason="scratches do not matter any more", by="quality")
    assert version == 2
    plant.works.desk.submit(deaf.path, site=SITE, reason="new convention", submitted_by="engineer")
    wait_for_candidate(plant, 2, "shadowing")
    plant.minutes(6)
    assert plant.active_bundle is not None
    assert plant.active_bundle.hash == deaf.hash

    for _ in range(60):
        plant.upload(OutcomeSource.AUDIT)
    plant.answer_queue()
    plant.minute()

    channel = plant.works.registry.channel(SITE)
    assert channel is not None
    assert (channel.active.number, channel.sequence) == (1, 4)
    assert [refusal.bundle_hash for refusal in channel.refused] == [deaf.hash]
    assert rows(plant, CandidateRow)[-1].state == "withdrawn"
    assert "release.withdrawn" in codes(plant)
    assert plant.active_bundle.hash != deaf.hash
