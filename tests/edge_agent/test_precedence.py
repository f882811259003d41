"""Who gets the database next, and what holds it for how long."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from contracts.telemetry import Envelope, Event, EventKind, Head
from edge_agent.buffer import ImageBuffer
from edge_agent.outbox import Lane, Outbox
from edge_agent.precedence import Precedence
from edge_agent.record import Record
from edge_agent.store import Store
from edge_agent.worth import Worth
from tests.edge_agent.conftest import wait_for
from tests.simulators.captures import inspection
from tests.simulators.turns import watched

FEW_ROWS = 40_000  # steps; 200 rows with all their indexes are fewer


def test_the_line_passes_everybody_who_waits() -> None:
    lock, order = Precedence(), list[str]()

    def take(name: str, first: bool) -> None:
        with lock.held(first=first):
            order.append(name)

    with lock.held():
        threads = []
        for name in ("upload", "drain", "page", "line"):
            threads.append(threading.Thread(target=take, args=(name, name == "line")))
            threads[-1].start()
            wait_for(lambda: len(lock._changed._waiters) == len(threads))  # type: ignore[attr-defined]
    for thread in threads:
        thread.join()
    assert order[0] == "line"
    assert sorted(order) == ["drain", "line", "page", "upload"]


def test_who_holds_it_may_take_it_again() -> None:
    lock = Precedence()
    with lock.held(), lock.held(first=True), lock.held():
        assert not _gets_it(lock)
    assert _gets_it(lock)


def test_it_is_given_back_after_an_error() -> None:
    lock = Precedence()
    with pytest.raises(ZeroDivisionError), lock.held(first=True):
        raise ZeroDivisionError
    assert _gets_it(lock)


def test_at_the_quota_images_go_a_few_at_a_time(store: Store) -> None:
    kept = ImageBuffer(
        store, store.path.parent / "images", quota_bytes=100_000, random_fraction=1.0, atypical_fraction=0.0
    )
    with store.transaction() as db:
        db.executemany(
            "INSERT INTO images (id, file, part_id, camera, product, triggered_at, drawn, draw, distance, decision,"
            " bundle_hash, bytes, recorded_at) VALUES (?, ?, ?, 'cam-a', 'cap', 0, 1, 0.5, 1.0, 'OK', NULL, 100, ?)",
            [(number, f"{number}.png", f"p-{number}", number) for number in range(1, 2001)],
        )
        waiting = [(f"p-{number}", number) for number in range(1, 401)]
        db.executemany(
            "INSERT INTO uploads (part_id, order_id, drawn, image, state)"
            " VALUES (?, 'o-1', 'drift-sample', ?, 'waiting')",
            waiting,
        )
    kept._bytes[Worth.RANDOM] = 200_000
    with watched(store) as turns:
        assert kept.trim() == 1050
    assert turns.longest < FEW_ROWS
    assert kept.find(400) is not None
    assert kept.find(401) is None


def test_at_the_disk_cap_messages_go_a_few_at_a_time(store: Store) -> None:
    box = Outbox(store, agent="agent-1", max_bytes=400_000)
    with store.transaction():
        for _ in range(3000):
            box.add(Event(event=EventKind.CAMERA_FAULT, at=datetime.now(UTC), reason="x" * 150))
    with watched(store) as turns:
        assert box.shrink() > 1000
    assert turns.longest < FEW_ROWS


def test_the_record_is_forgotten_a_few_rows_at_a_time(store: Store) -> None:
    record = Record(store)
    record.append([(inspection(number).verdict, None) for number in range(1500)])
    with watched(store) as turns:
        assert record.forget_before(datetime.now(UTC) + timedelta(days=1)) == 1500
    assert turns.longest < FEW_ROWS // 5


def test_messages_are_written_out_while_the_line_can_commit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    box, written = Outbox(store, agent="agent-1", max_bytes=10**9), Envelope.text
    for _ in range(3):
        box.add(Event(event=EventKind.CAMERA_FAULT, at=datetime.now(UTC)))
    free: list[bool] = []

    def text(head: Head, body: str) -> str:
        free.append(_gets_it(store._lock))
        return written(head, body)

    monkeypatch.setattr(Envelope, "text", text)
    assert len(box.exchange({}, [Lane(after=0, through=None, most=9)], most=9)[1]) == 3
    assert free == [True] * 3


def _gets_it(lock: Precedence) -> bool:
    """Whether another thread gets it within half a second."""
    got = threading.Event()

    def take() -> None:
        with lock.held():
            got.set()

    threading.Thread(target=take, daemon=True).start()
    return got.wait(0.5)
