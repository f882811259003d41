"""Telemetry that waits on disk until the monitor has committed it: nothing leaves the outbox without an `Ack`.

Sequences start at 1 in each boot and have no gaps. Where the disk cap forces the outbox to forget, births and events
go first, then windows are merged with their successors (their sums add up), and an event `dropped` stands in
for every sequence that lost its message. What was sent already is never changed: the monitor may have it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import TypeAdapter

from contracts.telemetry import Body, Envelope
from edge_agent.shrink import drop_oldest, merge_oldest
from edge_agent.store import Store

_BODY: TypeAdapter[Body] = TypeAdapter(Body)


@dataclass(frozen=True)
class Message:
    """One waiting message. `number` orders them over boots."""

    number: int
    envelope: Envelope


class Outbox:
    """Messages of this and earlier boots, in the agent's database."""

    def __init__(self, store: Store, *, agent: str, max_bytes: int) -> None:
        self._store = store
        self._agent = agent
        self._max_bytes = max_bytes
        self.boot = uuid.uuid4().hex
        with store.transaction() as db:
            db.execute(
                "INSERT INTO boots (boot, last_sequence, started_at) VALUES (?, 0, ?)",
                (self.boot, datetime.now(UTC).timestamp()),
            )

    def add(self, body: Body) -> int:
        """Keep a message for the monitor; returns its sequence. Joins an open transaction."""
        text = body.model_dump_json()
        with self._store.transaction() as db:
            db.execute("UPDATE boots SET last_sequence = last_sequence + 1 WHERE boot = ?", (self.boot,))
            sequence = int(db.execute("SELECT last_sequence FROM boots WHERE boot = ?", (self.boot,)).fetchone()[0])
            db.execute(
                "INSERT INTO outbox (boot, sequence, last, kind, body, made_at, bytes) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (self.boot, sequence, sequence, body.kind, text, datetime.now(UTC).timestamp(), len(text)),
            )
        return sequence

    def waiting(self, *, after: int, limit: int) -> list[Message]:
        """The oldest messages whose number is above `after`."""
        rows = self._store.rows("SELECT * FROM outbox WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
        held = {boot: self._store.rows(_HELD, (boot,))[0]["held"] for boot in {row["boot"] for row in rows}}
        return [
            Message(
                number=row["id"],
                envelope=Envelope(
                    agent=self._agent,
                    boot=row["boot"],
                    sequence=row["sequence"],
                    sent_at=datetime.fromtimestamp(row["made_at"], UTC),
                    oldest_held=held.get(row["boot"]),
                    body=_BODY.validate_json(row["body"]),
                ),
            )
            for row in rows
        ]

    def hand_over(self, *, after: int, limit: int) -> list[Message]:
        """The oldest messages above `after`, to be carried to the monitor by hand; from now on they stay as they are.

        Messages under way together take at most half of the cap, so that the rest can still shrink while the carrier is
        away: then the list ends, and what waits behind goes with the next one.
        """
        messages = self.waiting(after=after, limit=limit)
        with self._store.transaction() as db:
            room = self._max_bytes // 2 - int(db.execute(_UNDER_WAY).fetchone()[0])
            taken = []
            for message in messages:
                size, sent = db.execute("SELECT bytes, sent FROM outbox WHERE id = ?", (message.number,)).fetchone()
                room -= 0 if sent else int(size)
                if room < 0:
                    break
                taken.append(message)
            db.executemany("UPDATE outbox SET sent = 1 WHERE id = ?", [(message.number,) for message in taken])
        return taken

    def mark_sent(self, through: int) -> None:
        """Messages up to this number are about to be handed to the broker; they stay as they are from now on."""
        with self._store.transaction() as db:
            db.execute("UPDATE outbox SET sent = 1 WHERE id <= ? AND sent = 0", (through,))

    def acknowledge(self, boot: str, sequence: int) -> int:
        """Forget what the monitor has committed; returns how many messages that were."""
        with self._store.transaction() as db:
            gone = db.execute("DELETE FROM outbox WHERE boot = ? AND sequence <= ? AND sent = 1", (boot, sequence))
            return int(gone.rowcount)

    def exchange(self, acknowledged: Mapping[str, int], *, after: int, most: int) -> tuple[int, list[Message]]:
        """Forget what the monitor has committed (boot -> sequence) and hand out the oldest messages above `after`,
        marked as sent, until `most` are in flight; all in one commit. Returns (how many went, those to send)."""
        with self._store.transaction():
            gone = sum(self.acknowledge(boot, sequence) for boot, sequence in acknowledged.items())
            room = most - self.in_flight(after)
            messages = self.waiting(after=after, limit=room) if room > 0 else []
            if messages:
                self.mark_sent(messages[-1].number)
        return gone, messages

    def size(self) -> tuple[int, int]:
        """(messages, bytes) that wait."""
        row = self._store.rows("SELECT COUNT(*) AS messages, COALESCE(SUM(bytes), 0) AS bytes FROM outbox")[0]
        return int(row["messages"]), int(row["bytes"])

    def in_flight(self, through: int) -> int:
        """How many messages up to that number wait for their acknowledgement."""
        return int(self._store.rows("SELECT COUNT(*) AS n FROM outbox WHERE id <= ?", (through,))[0]["n"])

    def shrink(self) -> int:
        """Bring the outbox under its cap; returns how many messages lost their place. Sent ones are never touched."""
        lost = 0
        while self.size()[1] > self._max_bytes:
            with self._store.transaction() as db:
                gone = drop_oldest(db) or merge_oldest(db)
            if gone == 0:
                break
            lost += gone
        return lost


_UNDER_WAY = "SELECT COALESCE(SUM(bytes), 0) FROM outbox WHERE sent = 1"
_HELD = "SELECT MIN(sequence) AS held FROM outbox WHERE boot = ?"
