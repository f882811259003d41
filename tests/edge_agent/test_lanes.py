"""What is sent next: new messages beside what an outage has left, each boot in its order, nothing again for ever."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from contracts.telemetry import Event, EventKind
from edge_agent.lanes import FAR_BEHIND, IN_FLIGHT, SHARE, Lanes
from edge_agent.outbox import Message, Outbox
from edge_agent.store import Store

RESEND_SECONDS = 10.0


@dataclass
class Clock:
    """Seconds that pass only when told."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Centre:
    """What has arrived: (boot, sequence) -> how often. Acknowledges as the monitor does."""

    stored: dict[str, set[int]] = field(default_factory=dict)
    arrived: list[Message] = field(default_factory=list)

    def take(self, messages: list[Message]) -> None:
        self.arrived += messages
        for message in messages:
            self.stored.setdefault(message.envelope.boot, set()).add(message.envelope.sequence)

    def acknowledged(self) -> dict[str, int]:
        found = {}
        for boot, sequences in self.stored.items():
            found[boot] = next(n for n in range(len(sequences) + 1) if n + 1 not in sequences)
        return found


def outbox(store: Store) -> Outbox:
    return Outbox(store, agent="agent-1", max_bytes=10**9)


def add(box: Outbox, count: int, reason: str = "") -> None:
    with box._store.transaction():
        for _ in range(count):
            box.add(Event(event=EventKind.CAMERA_FAULT, at=datetime.now(UTC), reason=reason))


def lanes(box: Outbox, clock: Clock | None = None) -> Lanes:
    return Lanes(box, resend_seconds=RESEND_SECONDS, clock=clock or Clock())


def numbers(messages: list[Message]) -> list[int]:
    return [message.number for message in messages]


def test_an_older_monitor_gets_everything_oldest_first_and_nothing_is_late(store: Store) -> None:
    add(outbox(store), 100)
    box = outbox(store)
    add(box, 100)
    sending, centre = lanes(box), Centre()
    while box.size()[0]:
        centre.take(sending.exchange(centre.acknowledged())[1])
    assert numbers(centre.arrived) == list(range(1, 201))
    assert not any(message.envelope.late for message in centre.arrived)


def test_what_is_new_goes_out_at_once_beside_what_an_earlier_start_has_left(store: Store) -> None:
    add(outbox(store), 500)
    box, centre = outbox(store), Centre()
    sending = lanes(box)
    centre.take(sending.exchange({})[1])
    sending.take_late()
    add(box, 1, "new")
    centre.take(sending.exchange(centre.acknowledged())[1])
    new, *late = centre.arrived[IN_FLIGHT:]
    assert (new.envelope.boot, new.envelope.sequence, new.envelope.late) == (box.boot, 1, False)
    assert numbers(late) == list(range(IN_FLIGHT + 1, IN_FLIGHT + 1 + SHARE))
    assert all(message.envelope.late for message in late)


def test_neither_lane_takes_the_place_of_the_other(store: Store) -> None:
    add(outbox(store), 500)
    box = outbox(store)
    add(box, FAR_BEHIND)
    sending = lanes(box)
    sending.take_late()
    first = sending.exchange({})[1]
    assert [message.envelope.late for message in first] == [False] * SHARE + [True] * (IN_FLIGHT - SHARE)


def test_a_boot_that_falls_far_behind_ends_and_what_is_new_counts_from_one(store: Store) -> None:
    box, started, step = outbox(store), [], FAR_BEHIND // 5 + 1
    sending = lanes(box)
    for _ in range(20):
        add(box, step)
        if sending.divide():
            started.append(box.boot)
            assert not sending.divide()
    assert len({*started, box.started}) == 5
    assert [row["last_sequence"] for row in store.rows("SELECT * FROM boots")] == [5 * step] * 4 + [0]


def test_over_the_first_acknowledgement_what_is_new_is_soon_at_the_monitor_after_a_long_outage(store: Store) -> None:
    box, centre = outbox(store), Centre()
    sending = lanes(box)
    for _ in range(20):
        add(box, FAR_BEHIND)
        sending.divide()
    add(box, 1, "new")
    for _ in range(15):
        centre.take(sending.exchange(centre.acknowledged())[1])
        sending.take_late()
        sending.divide()
    assert [m.envelope.body.reason for m in centre.arrived if isinstance(m.envelope.body, Event)].count("new") == 1
    assert len(centre.arrived) < 20 * FAR_BEHIND / 4


def test_what_was_made_a_moment_before_a_boot_ended_is_new_and_what_is_sent_again_of_it_is_late(store: Store) -> None:
    add(outbox(store), 500)
    box = outbox(store)
    sending, ended = lanes(box), box.boot
    sending.take_late()
    add(box, FAR_BEHIND + 1)
    assert sending.divide()
    sending.take_late()
    first = [message for message in sending.exchange({})[1] if message.envelope.boot == ended]
    assert [message.envelope.late for message in first] == [False] * SHARE
    sending.begin()
    centre = Centre()
    while box.size()[0]:
        centre.take(sending.exchange(centre.acknowledged())[1])
    again = [message for message in centre.arrived if message.envelope.boot == ended]
    assert [message.envelope.late for message in again] == [True] * SHARE + [False] * (FAR_BEHIND + 1 - SHARE)


def test_a_division_in_the_middle_of_a_drain_sends_nothing_twice(store: Store) -> None:
    add(outbox(store), 1000)
    box, centre = outbox(store), Centre()
    sending, divided = lanes(box), 0
    while box.size()[0]:
        if divided < 3:
            add(box, SHARE + 100)
        divided += sending.divide()
        centre.take(sending.exchange(centre.acknowledged())[1])
        sending.take_late()
    assert divided == 3
    assert len(numbers(centre.arrived)) == len(set(numbers(centre.arrived)))


def test_over_a_new_connection_everything_is_sent_again_until_the_monitor_says_what_it_takes(store: Store) -> None:
    add(outbox(store), 100)
    box = outbox(store)
    add(box, 1)
    sending = lanes(box)
    sending.take_late()
    sending.exchange({})
    sending.begin()
    assert numbers(sending.exchange({})[1]) == list(range(1, IN_FLIGHT + 1))


def test_a_lane_that_lost_its_messages_is_sent_again_although_the_other_moves(store: Store) -> None:
    late = outbox(store)
    add(late, 500)
    box, clock, centre = outbox(store), Clock(), Centre()
    sending = lanes(box, clock)
    add(box, 3)
    sending.take_late()
    repeats = []
    for _ in range(15):
        messages = sending.exchange(centre.acknowledged())[1]
        repeats += [message for message in messages if not message.envelope.late]
        centre.take([message for message in messages if message.envelope.late])  # the others never arrive
        sending.stalled()
        clock.now += 1.0
    assert [message.envelope.sequence for message in repeats] == [1, 2, 3] * 2
    assert len(centre.arrived) == 500, "and what moves is sent once"


@pytest.mark.parametrize("late", [False, True])
def test_acknowledgements_slower_than_the_patience_do_not_make_it_send_for_ever_again(store: Store, late: bool) -> None:
    """Each comes after two and a half times as long: the first of a lane makes it send again, the others do not."""
    box, clock, centre = outbox(store), Clock(), Centre()
    add(box, 10 * IN_FLIGHT)
    sending = lanes(box, clock)
    sent = 0
    while box.size()[0]:
        acknowledged = centre.acknowledged()
        if late and acknowledged:
            sending.take_late()
        for _ in range(25):
            messages = sending.exchange(acknowledged)[1]
            centre.take(messages)
            sent += len(messages)
            sending.stalled()
            clock.now += RESEND_SECONDS / 10
    assert sent <= 15 * IN_FLIGHT, "30 times where nothing is learned"


def test_after_an_outage_of_hours_the_patience_is_soon_what_it_was(store: Store) -> None:
    box, clock, centre = outbox(store), Clock(), Centre()
    add(box, IN_FLIGHT)
    sending = lanes(box, clock)
    for _ in range(200):  # the monitor is away
        sending.exchange({})
        sending.stalled()
        clock.now += RESEND_SECONDS
    centre.take(box.waiting(after=0, limit=IN_FLIGHT))
    sending.exchange(centre.acknowledged())
    sending.stalled()
    add(box, 1)
    sending.exchange({})
    sending.stalled()
    clock.now += 1.1 * RESEND_SECONDS
    assert sending.stalled() == 1


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_lost_on_the_way_everything_arrives_and_every_boot_without_a_gap(store: Store, seed: int) -> None:
    chance, clock, centre = random.Random(seed), Clock(), Centre()
    box = outbox(store)
    sending = lanes(box, clock)
    add(box, 300)
    for round_ in range(400):
        if chance.random() < 0.3:
            add(box, chance.choice([1, 5, 200]) if round_ < 60 else 0)
        if chance.random() < 0.02:
            box = outbox(store)  # a kill
            sending = lanes(box, clock)
        elif chance.random() < 0.05:
            sending.begin()
        sending.divide()
        acknowledged = centre.acknowledged() if chance.random() < 0.7 else {}
        if acknowledged and chance.random() < 0.8:
            sending.take_late()
        centre.take([message for message in sending.exchange(acknowledged)[1] if chance.random() < 0.9])
        sending.stalled()
        clock.now += 3.0
    while box.size()[0]:
        centre.take(sending.exchange(centre.acknowledged())[1])
        sending.stalled()
        clock.now += 3.0
    produced = {row["boot"]: row["last_sequence"] for row in store.rows("SELECT * FROM boots WHERE last_sequence > 0")}
    assert {boot: sorted(stored) for boot, stored in centre.stored.items()} == {
        boot: list(range(1, last + 1)) for boot, last in produced.items()
    }
