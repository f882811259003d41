"""Ingest: once, in order, acknowledged after the commit, and never blocked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from contracts.telemetry import Status, topic
from monitor.ingest import Arrival, Ingest, highest_contiguous
from monitor.store import Store
from monitor.store.rule_tables import CameraRow
from monitor.store.telemetry_tables import AgentRow, BootRow, MessageRow, PoisonRow
from tests.monitor.telemetry import START, dropped, envelope, window


@pytest.fixture
def ingest(store: Store) -> Ingest:
    return Ingest(store, sites=["mono"])


def arrival(
    sequence: int, body: object = None, *, agent: str = "agent-1", site: str = "mono", **changes: object
) -> Arrival:
    text = envelope(sequence, body or window(sequence), **changes).model_dump_json()  # type: ignore[arg-type]
    return Arrival(topic(site, agent, "telemetry"), text.encode(), START)


def acknowledged(ingest: Ingest, *arrivals: Arrival) -> int:
    [(site, ack)] = ingest.commit(arrivals)
    assert (site, ack.agent, ack.boot) == ("mono", "agent-1", "boot-1")
    return ack.sequence


def stored(store: Store) -> list[int]:
    with store.read() as session:
        return list(session.scalars(select(MessageRow.sequence).order_by(MessageRow.id)))


def poison(store: Store) -> dict[str, int]:
    with store.read() as session:
        return {row.reason: row.count for row in session.scalars(select(PoisonRow))}


def test_message_sent_twice_is_stored_once_and_acknowledged_twice(ingest: Ingest, store: Store) -> None:
    assert acknowledged(ingest, arrival(1), arrival(1), arrival(2)) == 2
    assert acknowledged(ingest, arrival(1)) == 2
    assert stored(store) == [1, 2]


def test_acknowledgement_stops_before_a_gap_until_it_is_filled(ingest: Ingest) -> None:
    assert acknowledged(ingest, arrival(1), arrival(3)) == 1
    assert acknowledged(ingest, arrival(2)) == 3


def test_tombstone_covers_what_the_outbox_dropped(ingest: Ingest) -> None:
    assert acknowledged(ingest, arrival(1), arrival(9)) == 1
    assert acknowledged(ingest, arrival(2, dropped(8))) == 9


def test_tombstone_that_grew_after_its_acknowledgement_still_counts(ingest: Ingest, store: Store) -> None:
    assert acknowledged(ingest, arrival(1, dropped(4))) == 4
    assert acknowledged(ingest, arrival(1, dropped(6)), arrival(7)) == 7
    assert stored(store) == [1, 7]


def test_younger_database_does_not_wait_for_what_the_agent_no_longer_holds(ingest: Ingest) -> None:
    assert acknowledged(ingest, arrival(500)) == 0
    assert acknowledged(ingest, arrival(501, oldest_held=500)) == 501


def test_boot_that_a_newer_one_has_overtaken_is_late_from_then_on(ingest: Ingest, store: Store) -> None:
    late = []
    for arrivals in ([arrival(1)], [arrival(2, late=True)], [arrival(1)]):
        assert [ack.takes_late for _, ack in ingest.commit(arrivals)] == [True]
        with store.read() as session:
            late += session.scalars(select(BootRow.late)).all()
    assert late == [False, True, True]


def test_acknowledgement_tells_the_agent_how_its_cameras_are(ingest: Ingest, store: Store) -> None:
    with store.write() as session:
        for agent, state in (("agent-1", "DRIFT"), ("agent-2", "OK")):
            session.add(_camera(agent, state))
    [(_, ack)] = ingest.commit([arrival(1)])
    assert ack.cameras == {"camera-1": "DRIFT"}


def _camera(agent: str, state: str) -> CameraRow:
    return CameraRow(
        site="mono",
        agent=agent,
        camera="camera-1",
        product="default",
        bundle_hash="a" * 64,
        runtime="onnxruntime-cpu 1",
        state=state,
        learned_windows=60,
        windows_needed=60,
        decisions={},
        last_window_at=START,
    )


def test_topic_wins_over_the_payload(ingest: Ingest, store: Store) -> None:
    ingest.commit([arrival(1, agent="agent-2")])
    with store.read() as session:
        assert session.scalars(select(MessageRow.agent)).all() == ["agent-2"]
    assert poison(store) == {"agent differs from topic": 1}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b" ", "unreadable and without a number"),
        (b"\xff\xfe", "unreadable and without a number"),
        (b"[" * 5000, "unreadable and without a number"),
        (b'{"boot": "b", "sequence": "1"}', "unreadable and without a number"),
        (b'{"boot": "b", "sequence": true}', "unreadable and without a number"),
        (b'{"boot": "../b", "sequence": 1}', "unreadable and without a number"),
        (b"x" * 300_000, "too large"),
    ],
)
def test_message_without_a_number_is_counted_and_the_rest_is_stored(
    ingest: Ingest, store: Store, payload: bytes, reason: str
) -> None:
    bad = Arrival(topic("mono", "agent-1", "telemetry"), payload, START)
    assert acknowledged(ingest, bad, arrival(1)) == 1
    assert poison(store)[reason] == 1


def test_empty_message_asks_the_broker_and_tells_the_monitor_nothing(ingest: Ingest, store: Store) -> None:
    kinds = ("telemetry", "event", "status")
    assert ingest.commit([Arrival(topic("mono", "agent-1", kind), b"", START) for kind in kinds]) == []
    assert poison(store) == {}


def test_unreadable_message_with_a_number_is_kept_and_blocks_nothing(ingest: Ingest, store: Store) -> None:
    bad = Arrival(
        topic("mono", "agent-1", "telemetry"), b'{"boot": "boot-1", "sequence": 1, "body": {"kind": "x"}}', START
    )
    assert acknowledged(ingest, bad, arrival(2)) == 2
    with store.read() as session:
        assert session.scalars(select(MessageRow.kind).order_by(MessageRow.sequence)).all() == ["unreadable", "window"]


@pytest.mark.parametrize(
    "text", ["lineside/v1/poly/agent-1/telemetry", "lineside/v1/mono/agent-1/ack", "a/b", "lineside/v1/MONO/a/event"]
)
def test_foreign_topic_is_counted_and_stored_nowhere(ingest: Ingest, store: Store, text: str) -> None:
    assert ingest.commit([Arrival(text, envelope(1, window()).model_dump_json().encode(), START)]) == []
    assert stored(store) == []
    assert sum(poison(store).values()) == 1


def test_last_will_of_an_earlier_life_does_not_mark_the_new_one_away(ingest: Ingest, store: Store) -> None:
    def status(boot: str, online: bool) -> Arrival:
        text = Status(agent="agent-1", boot=boot, online=online, at=START).model_dump_json()
        return Arrival(topic("mono", "agent-1", "status"), text.encode(), START)

    ingest.commit([status("one", True), status("two", True), status("one", False)])
    with store.read() as session:
        assert session.get_one(AgentRow, ("mono", "agent-1")).online
    ingest.commit([status("two", False)])
    with store.read() as session:
        assert not session.get_one(AgentRow, ("mono", "agent-1")).online


@given(st.sets(st.integers(1, 30)), st.lists(st.tuples(st.integers(1, 30), st.integers(0, 5)), max_size=4))
def test_highest_contiguous_is_the_first_hole(sequences: set[int], tombs: list[tuple[int, int]]) -> None:
    ranges = [(first, first + length) for first, length in tombs]
    covered = sequences.union(*(range(first, last + 1) for first, last in ranges)) if ranges else sequences
    hole = next(number for number in range(1, 100) if number not in covered)
    assert highest_contiguous(0, sorted(sequences), ranges) == hole - 1
