"""The ledger: verdicts, windows and messages reach the disk together or not at all."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.errors import QuotaError
from contracts.frame import Verdict
from contracts.telemetry import Window
from edge_agent.buffer import ImageBuffer
from edge_agent.inspection import Inspection
from edge_agent.ledger import Item, Ledger
from edge_agent.outbox import Outbox
from edge_agent.record import Record
from edge_agent.source import Capture
from edge_agent.store import Store
from edge_agent.window import Windows
from tests.simulators.captures import NAMES, inspection


def ledger(store: Store, *, images: int = 10, seconds: float = 60.0) -> Ledger:
    return Ledger(
        store,
        Record(store),
        Outbox(store, agent="agent-1", max_bytes=10**9),
        Windows(seconds=seconds, images=images, runtime="test 1"),
        images=20,
        seconds=100.0,
    )


def item(number: int, **changes: object) -> Item:
    return Item(inspection(number), NAMES, "line", **changes)  # type: ignore[arg-type]


def waiting_item(number: int, recorded: list[Verdict], refused: list[Exception], *, since: float | None = None) -> Item:
    made = inspection(number)
    capture = Capture(
        made.capture.frame,
        made.capture.image,
        waiting=True,
        since=time.monotonic() if since is None else since,
        recorded=recorded.append,
        refused=refused.append,
    )
    return Item(Inspection(capture, made.verdict, made.pixels, made.vector, 0.9, 1.0), NAMES, "http")


def bodies(store: Store) -> list[Window]:
    messages = Outbox(store, agent="agent-1", max_bytes=1).waiting(after=0, limit=1000)
    return [message.envelope.body for message in messages if isinstance(message.envelope.body, Window)]


def test_nothing_is_on_disk_before_the_commit_and_everything_after_it(store: Store) -> None:
    book = ledger(store)
    for n in range(12):
        book.append(item(n))
    assert Record(store).entries(limit=100) == []
    assert book.commit() == 1
    assert len(Record(store).entries(limit=100)) == 12
    assert [window.images for window in bodies(store)] == [10]


def test_it_asks_for_a_commit_after_so_many_images(store: Store) -> None:
    book = ledger(store)
    assert [book.append(item(n)) for n in range(20)] == [False] * 19 + [True]


def test_a_failed_commit_leaves_no_trace_and_succeeds_later(store: Store) -> None:
    book = ledger(store)

    def full() -> None:
        raise QuotaError("disk full")

    for n in range(9):
        book.append(item(n))
    book.append(item(9, keep=full))
    with pytest.raises(QuotaError):
        book.commit()
    assert Record(store).entries(limit=100) == []
    assert bodies(store) == []
    assert store.rows("SELECT * FROM open_windows") == []
    book._batch.items[-1] = item(9)
    assert book.commit() == 1
    assert [entry.verdict.frame.sequence for entry in Record(store).entries(limit=100)] == list(range(9, -1, -1))


def test_who_waits_hears_of_the_commit_only_after_it(store: Store) -> None:
    recorded: list[Verdict] = []
    book = ledger(store)
    book.append(waiting_item(0, recorded, []))
    assert recorded == []
    book.commit()
    assert [verdict.frame.sequence for verdict in recorded] == [0]


def test_who_waits_for_a_slow_model_does_not_wait_for_others(store: Store) -> None:
    book = ledger(store)
    fast, slow = waiting_item(0, [], []), waiting_item(1, [], [])
    verdict = slow.inspection.verdict.model_copy(update={"latency_seconds": 0.03})
    assert not book.append(fast)
    assert book.append(replace(slow, inspection=replace(slow.inspection, verdict=verdict)))


def test_an_image_that_has_been_here_twice_as_long_as_usual_is_told_until_it_is_committed(store: Store) -> None:
    book, now = ledger(store), time.monotonic()
    for number in range(4):
        book.append(waiting_item(number, [], [], since=now - 1.0))
    assert not book.holds_late, "nothing is known yet of what is usual"
    book.commit()
    book.append(waiting_item(4, [], [], since=time.monotonic() - 1.5))
    assert not book.holds_late
    book.append(waiting_item(5, [], [], since=time.monotonic() - 3.0))
    assert book.holds_late
    book.commit()
    assert not book.holds_late


def test_who_waits_is_refused_when_the_disk_is_full_and_is_not_recorded_later(store: Store) -> None:
    recorded: list[Verdict] = []
    refused: list[Exception] = []
    book = ledger(store)
    book.append(waiting_item(0, recorded, refused))
    store.rows("PRAGMA max_page_count = 1")
    book.append(Item(inspection(1, camera="cam-b"), ("x" * 2_000_000,), "line"))
    with pytest.raises(QuotaError, match="free disk space"):
        book.commit()
    assert [type(error) for error in refused] == [QuotaError]
    store.rows("PRAGMA max_page_count = 100000")
    book.commit()
    assert recorded == []
    assert [entry.verdict.frame.sequence for entry in Record(store).entries(limit=9)] == [1]


def test_of_an_image_that_is_refused_no_file_stays(store: Store) -> None:
    book, folder = ledger(store), store.path.parent / "images"
    kept = ImageBuffer(store, folder, quota_bytes=10**9, random_fraction=1.0, atypical_fraction=0.0)
    who_waits, line = waiting_item(0, [], []), item(1)
    for each in (who_waits, line):
        book.append(replace(each, keep=kept.offer(each.inspection)))
    store.rows("PRAGMA max_page_count = 1")
    book.append(Item(inspection(2, camera="cam-b"), ("x" * 2_000_000,), "line"))
    with pytest.raises(QuotaError):
        book.commit()
    assert len(list(folder.iterdir())) == 1
    store.rows("PRAGMA max_page_count = 100000")
    book.commit()
    (image,) = kept.newest_drawn(9)
    assert image.part_id == line.inspection.verdict.frame.part_id
    assert image.path.exists()


def test_an_open_window_goes_on_after_a_restart(tmp_path: Path) -> None:
    for part in (range(4), range(4, 8), range(8, 12)):
        store = Store(tmp_path / "agent.sqlite")
        book = ledger(store)
        for n in part:
            book.append(item(n))
        book.commit()
        ended = bodies(store)
        store.close()
    assert [(w.first_frame, w.last_frame, w.images, w.dropped_images) for w in ended] == [(0, 9, 10, 0)]


def test_frames_lost_with_a_killed_agent_show_in_the_next_window(tmp_path: Path) -> None:
    store = Store(tmp_path / "agent.sqlite")
    book = ledger(store)
    for n in range(4):
        book.append(item(n))
    book.commit()
    book.append(item(4))  # never committed
    store.close()
    store = Store(tmp_path / "agent.sqlite")
    book = ledger(store)
    for n in range(5, 11):
        book.append(item(n))
    book.commit()
    (window,) = bodies(store)
    store.close()
    assert (window.images, window.dropped_images) == (10, 1)


def test_windows_of_a_camera_that_stopped_are_ended_on_request(store: Store) -> None:
    book = ledger(store, images=100)
    book.append(item(0))
    book.commit()
    assert book.commit(end_all=True) == 1
    assert [window.images for window in bodies(store)] == [1]
