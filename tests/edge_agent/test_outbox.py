"""The outbox: numbers without gaps, nothing gone without an acknowledgement, and what it does when its disk is full."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts.telemetry import Event, EventKind, Window
from edge_agent.outbox import Lane, Message, Outbox
from edge_agent.store import Store
from edge_agent.window import Windows
from tests.simulators.captures import NAMES, inspection
from tests.simulators.turns import commits


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "agent.sqlite")
    yield store
    store.close()


def outbox(store: Store, max_bytes: int = 10**9) -> Outbox:
    return Outbox(store, agent="agent-1", max_bytes=max_bytes)


def event(reason: str = "") -> Event:
    return Event(event=EventKind.CAMERA_FAULT, at=datetime.now(UTC), reason=reason)


def window(number: int, camera: str = "cam-a") -> Window:
    windows = Windows(seconds=60, images=2, runtime="test 1")
    windows.last_frames[camera] = 2 * number - 1
    windows.fold(inspection(2 * number, camera=camera), NAMES)
    (ended,) = windows.fold(inspection(2 * number + 1, camera=camera), NAMES)
    return ended


def waiting(box: Outbox) -> list[Message]:
    return box.waiting(after=0, limit=100_000)


def everything(sent: int = 0) -> Lane:
    """One lane for all, as far as that number sent."""
    return Lane(after=0, through=None, most=100, cursor=sent)


def covered(messages: list[Message]) -> list[int]:
    """Every sequence that a message or a tombstone stands for, in order."""
    numbers: list[int] = []
    for message in messages:
        body, first = message.envelope.body, message.envelope.sequence
        last = (body.last_sequence if isinstance(body, Event) else None) or first
        numbers.extend(range(first, last + 1))
    return numbers


def test_what_travels_is_the_envelope_as_it_would_be_written(store: Store) -> None:
    box = outbox(store)
    for body in (event('a "quoted" reason, with an umlaut: \u00e4'), window(1)):
        box.add(body)
    _, sent = box.exchange({}, [Lane(after=0, through=None, most=9, late=True)], most=9)
    assert [message.kind for message in sent] == ["event", "window"]
    assert [message.text for message in sent] == [message.envelope.model_dump_json() for message in sent]
    assert [message.envelope.late for message in sent] == [True, True]


def test_sequences_start_at_one_and_have_no_gaps(store: Store) -> None:
    box = outbox(store)
    assert [box.add(event()) for _ in range(3)] == [1, 2, 3]


def test_a_transaction_that_fails_uses_up_no_sequence(store: Store) -> None:
    box = outbox(store)

    def fail() -> None:
        with store.transaction():
            box.add(event())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert box.add(event()) == 1


def test_every_start_is_a_boot_of_its_own_and_keeps_what_earlier_ones_left(store: Store) -> None:
    first = outbox(store)
    first.add(event("old"))
    second = outbox(store)
    assert second.boot != first.boot
    assert second.add(event("new")) == 1
    assert [message.envelope.boot for message in waiting(second)] == [first.boot, second.boot]


def test_an_acknowledgement_deletes_up_to_its_sequence_and_of_its_boot_only(store: Store) -> None:
    first, second = outbox(store), outbox(store)
    for box in (first, second):
        for _ in range(3):
            box.add(event())
    second.exchange({}, [everything()], most=100)
    assert second.acknowledge(first.boot, 2) == 2
    assert [(m.envelope.boot, m.envelope.sequence) for m in waiting(second)] == [
        (first.boot, 3), (second.boot, 1), (second.boot, 2), (second.boot, 3)
    ]  # fmt: skip


def test_an_acknowledgement_cannot_delete_what_was_never_sent(store: Store) -> None:
    box = outbox(store)
    box.add(event())
    assert box.acknowledge(box.boot, 1) == 0
    assert len(waiting(box)) == 1


def test_envelopes_say_the_oldest_sequence_that_is_still_held(store: Store) -> None:
    box = outbox(store)
    for _ in range(4):
        box.add(event())
    box.exchange({}, [everything()], most=100)
    box.acknowledge(box.boot, 2)
    assert {message.envelope.oldest_held for message in waiting(box)} == {3}


def test_at_the_disk_cap_events_go_before_windows(store: Store) -> None:
    box = outbox(store, max_bytes=40_000)
    windows = [window(n) for n in range(10)]
    for item in windows:
        box.add(item)
        for _ in range(20):
            box.add(event("x" * 300))
    box.shrink()
    left = [message.envelope.body for message in waiting(box)]
    assert [body for body in left if isinstance(body, Window)] == windows
    assert covered(waiting(box)) == list(range(1, 211))


def test_at_the_disk_cap_windows_are_merged_and_no_image_leaves_the_sums(store: Store) -> None:
    box = outbox(store, max_bytes=40_000)
    for n in range(40):
        box.add(window(n, "cam-a"))
        box.add(window(n, "cam-b"))
    lost = box.shrink()
    messages = waiting(box)
    left = [message.envelope.body for message in messages if isinstance(message.envelope.body, Window)]
    assert box.size()[1] <= 40_000
    assert lost == 80 - len(left)
    assert covered(messages) == list(range(1, 81))
    for camera in ("cam-a", "cam-b"):
        of_camera = [body for body in left if body.camera == camera]
        assert sum(body.images for body in of_camera) == 80
        assert sum(body.vector_sum[0] for body in of_camera) == 80.0
        assert max(body.last_frame for body in of_camera) == 79


def test_the_newest_windows_stay_as_they_are(store: Store) -> None:
    box = outbox(store, max_bytes=40_000)
    windows = [window(n) for n in range(60)]
    for item in windows:
        box.add(item)
        box.shrink()
    left = [message.envelope.body for message in waiting(box)]
    assert left[-1] == windows[-1]


def test_what_was_sent_is_never_changed_at_the_disk_cap(store: Store) -> None:
    box = outbox(store, max_bytes=30_000)
    for n in range(10):
        box.add(window(n))
    sent = waiting(box)
    box.exchange({}, [everything()], most=100)
    for n in range(10, 60):
        box.add(window(n))
    box.shrink()
    assert waiting(box)[:10] == sent
    assert covered(waiting(box)) == list(range(1, 61))


def test_tombstones_of_a_long_outage_grow_together(store: Store) -> None:
    box = outbox(store, max_bytes=20_000)
    for _ in range(500):
        box.add(event("x" * 300))
        box.shrink()
    stones = [
        m for m in waiting(box) if isinstance(m.envelope.body, Event) and m.envelope.body.event is EventKind.DROPPED
    ]
    assert len(stones) == 1
    assert covered(waiting(box)) == list(range(1, 501))


def test_what_is_carried_by_hand_stays_and_leaves_room_for_the_rest_to_shrink(store: Store) -> None:
    box = outbox(store, max_bytes=40_000)
    for number in range(1, 31):
        box.add(window(number))
    carried = box.hand_over(after=0, limit=1000)
    assert 0 < len(carried) < 30, "half of the cap at most is under way"
    again = box.hand_over(after=0, limit=1000)
    assert [message.envelope for message in again] == [message.envelope for message in carried]
    for number in range(31, 61):
        box.add(window(number))
    box.shrink()
    assert box.size()[1] <= 40_000
    assert waiting(box)[: len(carried)] == carried
    assert covered(waiting(box)) == list(range(1, 61))
    last = carried[-1].envelope
    assert box.acknowledge(last.boot, last.sequence) == len(carried)
    assert box.hand_over(after=0, limit=1000)[0].envelope.sequence == last.sequence + 1


def test_what_is_acknowledged_goes_and_the_next_are_marked_in_one_commit(store: Store) -> None:
    box = outbox(store)
    for _ in range(10):
        box.add(event())
    _, first = box.exchange({}, [everything()], most=4)
    before = commits(store)
    gone, following = box.exchange({box.boot: 3}, [everything(first[-1].number)], most=4)
    assert (gone, [message.envelope.sequence for message in following]) == (3, [5, 6, 7])
    assert commits(store) - before == 1
    assert box.acknowledge(box.boot, 10) == 4  # those that were sent, and no other


def test_nothing_more_is_handed_out_while_enough_is_in_flight(store: Store) -> None:
    box = outbox(store)
    for _ in range(10):
        box.add(event())
    _, first = box.exchange({}, [everything()], most=4)
    assert box.exchange({}, [everything(first[-1].number)], most=4) == (0, [])
