"""The loop: each message exactly once, in order, and none that holds up the rest."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from contracts.telemetry import Birth, CameraState, Envelope, Event, EventKind, topic
from monitor.actions import Actions
from monitor.ingest import Arrival
from monitor.rules.action import PhaseChanged
from monitor.store.rollout_tables import OrderRow
from monitor.store.rule_tables import CameraRow, EventRow, ModelRow
from monitor.store.telemetry_tables import AgentRow, BootRow, WindowRow
from tests.monitor.conftest import MakePlant
from tests.simulators.monitored_plant import AGENT, CAMERAS, SITE, Plant


@pytest.fixture
def plant(make_plant: MakePlant) -> Plant:
    return make_plant(labels={"audit_per_camera_day": 50.0})


def all_of(plant: Plant, query: Any) -> list[Any]:
    with plant.works.store.read() as session:
        return list(session.scalars(query))


def processed(plant: Plant) -> int:
    [boot] = all_of(plant, select(BootRow).where(BootRow.boot == plant.boot))
    return int(boot.processed)


def test_step_that_dies_half_way_leaves_nothing_and_is_repeated(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant.minutes(29)
    before = [row.state for row in all_of(plant, select(ModelRow))]

    class Killed(BaseException):
        pass

    def dies(*_arguments: object, **_more: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setitem(plant.works.rulebook._hands._deeds, PhaseChanged, dies)  # type: ignore[attr-defined]
        with pytest.raises(Killed):
            plant.minute()
    assert isinstance(plant.works.rulebook._hands, Actions)
    assert [row.state for row in all_of(plant, select(ModelRow))] == before
    assert len(all_of(plant, select(WindowRow))) == 2 * 29
    plant.work()
    assert len(all_of(plant, select(WindowRow))) == 2 * 30
    learned = [event for event in all_of(plant, select(EventRow)) if event.code == "commissioned"]
    assert [event.camera for event in learned] == ["cam-a", "cam-b"]


def test_message_that_no_rule_can_digest_is_noted_and_passed_over(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.minutes(29)
    with monkeypatch.context() as patched:

        def cannot(*_arguments: object, **_more: object) -> None:
            raise ValueError("negative covariance")

        patched.setitem(plant.works.rulebook._hands._deeds, PhaseChanged, cannot)  # type: ignore[attr-defined]
        plant.minute()
    assert processed(plant) == plant.sequence
    noted = [event for event in all_of(plant, select(EventRow)) if event.code == "agent.unreadable"]
    assert ["negative covariance" in event.parameters["why"] for event in noted] == [True, True]
    plant.minute()
    assert len(all_of(plant, select(WindowRow))) == 2 * 30


def test_messages_behind_a_gap_wait_and_come_in_order(plant: Plant) -> None:
    plant.minutes(2)
    held = plant.sequence + 1
    plant.sequence += 1  # lost on its way
    plant.now += timedelta(minutes=1)
    late = plant._window("cam-a")
    plant.minute()
    assert len(all_of(plant, select(WindowRow))) == 4
    assert processed(plant) == held - 1

    last, plant.sequence = plant.sequence, held - 1
    plant.send(late)
    plant.sequence = last
    plant.work()
    assert processed(plant) == last
    ends = all_of(plant, select(WindowRow.ended_at).where(WindowRow.camera == "cam-a").order_by(WindowRow.message_id))
    assert len(ends) == 4


def test_dropped_messages_are_counted_on_the_timeline(plant: Plant) -> None:
    plant.minute()
    first = plant.sequence + 1
    plant.event(EventKind.DROPPED, last_sequence=first + 9)
    plant.sequence = first + 9
    plant.minute()
    [dropped] = [event for event in all_of(plant, select(EventRow)) if event.code == "agent.dropped"]
    assert (dropped.parameters["first"], dropped.parameters["count"]) == (first, 10)
    assert processed(plant) == plant.sequence


def test_two_boots_are_taken_side_by_side_in_the_order_of_sending(plant: Plant) -> None:
    plant.minutes(2)
    old, sequence = plant.boot, plant.sequence
    plant.boot, plant.sequence = "boot-2", 0
    plant.birth()
    plant.minutes(2)
    plant.boot, plant.sequence = old, sequence
    plant.minutes(1)
    boots = {row.boot: (row.contiguous, row.processed) for row in all_of(plant, select(BootRow))}
    assert boots["boot-2"] == (5, 5)
    assert boots[old][0] == boots[old][1] == plant.sequence


def test_fault_and_recovery_of_a_camera_are_shown(plant: Plant) -> None:
    plant.minute()
    plant.event(EventKind.CAMERA_FAULT, camera="cam-a", product="default", reason="black")
    plant.work()
    assert {row.camera: row.fault for row in all_of(plant, select(CameraRow))} == {"cam-a": "black", "cam-b": None}
    plant.event(EventKind.CAMERA_RECOVERED, camera="cam-a", product="default", reason="no longer black")
    plant.work()
    assert {row.fault for row in all_of(plant, select(CameraRow))} == {None}


def test_agent_cannot_close_the_order_of_another(plant: Plant) -> None:
    plant.minute()
    order = all_of(plant, select(OrderRow).where(OrderRow.kind == "configure"))[0]
    assert order.body["audit_fraction"] == pytest.approx(50 / (100 * 60 * 24), rel=0.05)
    done = Event(event=EventKind.ORDER_DONE, at=plant.now, order_id=order.order_id)
    envelope = Envelope(agent="agent-2", boot="b", sequence=1, sent_at=plant.now, body=done)
    arrival = Arrival(topic(SITE, "agent-2", "event"), envelope.model_dump_json().encode(), plant.now)
    plant.works.ingest.commit([arrival])
    plant.work()
    assert [row.state for row in all_of(plant, select(OrderRow).where(OrderRow.order_id == order.order_id))] == ["open"]
    plant.event(EventKind.ORDER_DONE, order_id=order.order_id)
    plant.work()
    assert [row.state for row in all_of(plant, select(OrderRow).where(OrderRow.order_id == order.order_id))] == ["done"]


def test_agent_is_known_by_its_birth_and_events(plant: Plant) -> None:
    [agent] = all_of(plant, select(AgentRow))
    assert (agent.agent, agent.release_number) == (AGENT, 1)
    assert plant.active_bundle is not None
    assert agent.bundle_hash == plant.active_bundle.hash
    plant.birth()  # it has only reconnected
    plant.now += timedelta(minutes=1)
    plant.birth()
    plant.work()
    assert [event.code for event in all_of(plant, select(EventRow))].count("agent.born") == 2


def say_late(plant: Plant, boot: str, *bodies: Any) -> None:
    """What an earlier boot of the agent has left, which a newer one has overtaken."""
    arrivals = []
    for number, body in enumerate(bodies):
        envelope = Envelope(agent=AGENT, boot=boot, sequence=number + 1, sent_at=plant.now, late=True, body=body)
        arrivals.append(Arrival(topic(SITE, AGENT, "telemetry"), envelope.model_dump_json().encode(), plant.now))
    plant.works.ingest.commit(arrivals)


def birth_of(plant: Plant, started_at: datetime, fault: str | None = None) -> Birth:
    [agent] = all_of(plant, select(AgentRow))
    cameras = tuple(CameraState(camera=name, product="default", source="test", fault=fault) for name in CAMERAS)
    known = Birth.model_validate(agent.birth)
    return known.model_copy(update={"started_at": started_at, "cameras": cameras, "channel_sequence": 77})


def test_what_comes_late_is_put_down_at_its_own_time_and_changes_nothing_of_what_is(plant: Plant) -> None:
    plant.minutes(30)
    then = plant.now + timedelta(minutes=1)
    plant.now += timedelta(hours=6)
    plant.minutes(2)
    agent, camera = (all_of(plant, select(row))[0] for row in (AgentRow, CameraRow))
    lost = plant._window("cam-a").model_copy(update={"started_at": then - timedelta(minutes=1), "ended_at": then})
    fault = Event(event=EventKind.CAMERA_FAULT, at=then, camera="cam-a", product="default", reason="black")
    other = Event(event=EventKind.BUNDLE_ACTIVATED, at=then, bundle_hash="b" * 64, details={"release": 9})
    say_late(plant, "boot-0", birth_of(plant, then), lost, fault, other)
    plant.work()

    now_agent, now_camera = (all_of(plant, select(row))[0] for row in (AgentRow, CameraRow))
    for name in ("birth", "bundle_hash", "release_number", "channel_sequence", "audit_fraction"):
        assert getattr(now_agent, name) == getattr(agent, name), name
    for name in ("state", "fault", "last_window_at", "t2", "limit", "bundle_hash"):
        assert getattr(now_camera, name) == getattr(camera, name), name
    assert (now_camera.windows, now_camera.images) == (camera.windows + 1, camera.images + lost.images)
    [row] = all_of(plant, select(WindowRow).where(WindowRow.ended_at == then))
    assert row.t2 is not None
    assert row.state == ("SUSPECT" if row.t2 > row.limit else "OK")
    noted = [event.code for event in all_of(plant, select(EventRow).where(EventRow.at == then))]
    assert noted == ["agent.born", "camera.fault", "bundle.activated"]


def test_what_is_new_is_worked_through_before_what_comes_late(plant: Plant) -> None:
    plant.minutes(2)
    late = [Event(event=EventKind.CAMERA_FAULT, at=plant.now, camera="cam-b", reason=str(n)) for n in range(60)]
    say_late(plant, "boot-0", *late)
    plant.event(EventKind.CAMERA_FAULT, camera="cam-a", product="default", reason="new")
    plant.works.loop.step()
    faults = [event.parameters["why"] for event in all_of(plant, select(EventRow)) if event.code == "camera.fault"]
    assert faults == ["new", *map(str, range(49))]
    plant.work()
    assert {row.boot: row.processed for row in all_of(plant, select(BootRow))}["boot-0"] == 60


def test_a_birth_says_which_cameras_are_faulty_and_an_older_agents_says_nothing(plant: Plant) -> None:
    plant.minute()
    plant.event(EventKind.CAMERA_FAULT, camera="cam-a", product="default", reason="black")
    plant.work()
    for fault, shown in ((None, {"black", None}), ("", {None}), ("frozen", {"frozen"})):
        plant.send(birth_of(plant, plant.now, fault))
        plant.work()
        assert {row.fault for row in all_of(plant, select(CameraRow))} == shown
