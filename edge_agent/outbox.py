"""Telemetry that waits on disk until the monitor has committed it: nothing leaves the outbox without an `Ack`.

Sequences start at 1 in each boot and have no gaps. A start begins a boot, and so does `divide` in an outage: what waits
from before may then be sent behind what is new, each with numbers of its own (`edge_agent.lanes`). Where the disk cap
forces the outbox to forget, births and events go first, then windows are merged with their successors (their sums
add up), and an event `dropped` stands in for every sequence that lost its message. What was sent already is never
changed: the monitor may have it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from sqlite3 import Row
from typing import NamedTuple

from contracts.telemetry import Body, Envelope, Head
from edge_agent.shrink import drop_oldest, merge_oldest
from edge_agent.store import Store


@dataclass(frozen=True)
class Message:
    """One waiting message. `number` orders them over boots, `kind` is its body's, `text` the envelope as JSON: reading
    and writing every body again would take the interpreter from the line."""

    number: int
    kind: str
    text: str

    @property
    def envelope(self) -> Envelope:
        """The same, read."""
        return Envelope.model_validate_json(self.text)


@dataclass
class Lane:
    """A part of the outbox that is sent oldest first: numbers above `after`, up to `through` (None: no end). `cursor`
    is the newest that was sent, `most` how many may be under way."""

    after: int
    through: int | None
    most: int
    late: bool = False
    cursor: int = 0

    def __post_init__(self) -> None:
        self.cursor = max(self.cursor, self.after)


class _Taken(NamedTuple):
    """A row to be sent, the oldest sequence that is held of its boot, and whether it goes in the late lane."""

    row: Row
    held: int | None
    late: bool


class Outbox:
    """Messages of this and earlier boots, in the agent's database."""

    def __init__(self, store: Store, *, agent: str, max_bytes: int) -> None:
        self._store = store
        self._agent = agent
        self._max_bytes = max_bytes
        self.started = uuid.uuid4().hex
        """Names this start of the agent, as does its first boot."""
        self.boot = self.started
        """The run of numbers that new messages belong to."""
        self.newest_late = self._began = 0
        """The newest message of those that may be sent behind what is new: of earlier starts, and of this one where two
        boots have begun since."""
        self._begin(self.boot)
        self.newest_late = self._began

    def divide(self) -> None:
        """Begin another boot: from now on numbers start at 1 again. What the one before has left is not late yet: some
        of it was made a moment ago."""
        self.newest_late = self._began
        self._begin(uuid.uuid4().hex)

    def _begin(self, boot: str) -> None:
        with self._store.transaction() as db:
            row = (boot, datetime.now(UTC).timestamp())
            db.execute("INSERT INTO boots (boot, last_sequence, started_at) VALUES (?, 0, ?)", row)
        with self._store.transaction() as db:  # it is on disk, and nobody adds meanwhile
            self._began = int(db.execute("SELECT COALESCE(MAX(id), 0) FROM outbox").fetchone()[0])
            self.boot = boot

    def announce(self, make: Callable[[], Body]) -> int:
        """Keep what `make` says of the present, while nothing else is committed that could change it."""
        with self._store.transaction():
            return self.add(make())

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
        return self._messages(self._taken(self._store.rows(_BETWEEN, (after, _NO_END, limit))))

    def _taken(self, rows: Sequence[Row], *, late: Callable[[Row], bool] = lambda row: False) -> list[_Taken]:
        """These rows, with the oldest sequence that is held of each boot."""
        held = {boot: self._store.rows(_HELD, (boot,))[0]["held"] for boot in {row["boot"] for row in rows}}
        return [_Taken(row, held.get(row["boot"]), late(row)) for row in rows]

    def _messages(self, taken: Sequence[_Taken]) -> list[Message]:
        """Writing many takes a while: not within a transaction, for which the line would wait."""
        return [Message(each.row["id"], each.row["kind"], self._text(each)) for each in taken]

    def _text(self, taken: _Taken) -> str:
        row = taken.row
        head = Head(
            agent=self._agent,
            boot=row["boot"],
            sequence=row["sequence"],
            sent_at=datetime.fromtimestamp(row["made_at"], UTC),
            oldest_held=taken.held,
            late=taken.late,
        )
        return Envelope.text(head, row["body"])

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

    def acknowledge(self, boot: str, sequence: int) -> int:
        """Forget what the monitor has committed; returns how many messages that were."""
        with self._store.transaction() as db:
            gone = db.execute("DELETE FROM outbox WHERE boot = ? AND sequence <= ? AND sent = 1", (boot, sequence))
            return int(gone.rowcount)

    def exchange(
        self, acknowledged: Mapping[str, int], lanes: Sequence[Lane], *, most: int
    ) -> tuple[int, list[Message]]:
        """Forget what the monitor has committed (boot -> sequence) and hand out what each lane may send next, marked as
        sent, until `most` are under way; the first lanes first, all in one commit. Returns (how many went, those to
        send); the lanes' cursors are theirs to move."""
        with self._store.transaction():
            gone = sum(self.acknowledge(boot, sequence) for boot, sequence in acknowledged.items())
            room = most - sum(self.under_way(lane)[0] for lane in lanes)
            taken: list[_Taken] = []
            for lane in lanes:
                of_lane = self._take(lane, min(room, lane.most - self.under_way(lane)[0]))
                taken += of_lane
                room -= len(of_lane)
        return gone, self._messages(taken)

    def _take(self, lane: Lane, limit: int) -> list[_Taken]:
        """The lane's next messages, marked as sent; they stay as they are from now on. What is sent again of a boot
        that has ended is late: it may come after the state that the present one begins with."""
        if limit <= 0:
            return []
        end = _NO_END if lane.through is None else lane.through
        rows = self._store.rows(_BETWEEN, (lane.cursor, end, limit))
        with self._store.transaction() as db:
            db.executemany("UPDATE outbox SET sent = 1 WHERE id = ? AND sent = 0", [(row["id"],) for row in rows])
        return self._taken(rows, late=lambda row: lane.late or (row["boot"] != self.boot and bool(row["sent"])))

    def size(self) -> tuple[int, int]:
        """(messages, bytes) that wait."""
        row = self._store.rows("SELECT COUNT(*) AS messages, COALESCE(SUM(bytes), 0) AS bytes FROM outbox")[0]
        return int(row["messages"]), int(row["bytes"])

    def under_way(self, lane: Lane) -> tuple[int, int | None]:
        """Of a lane's messages that were sent: how many wait for their acknowledgement, and the oldest one's number."""
        row = self._store.rows(_UNDER_WAY_IN, (lane.after, lane.cursor))[0]
        return int(row["n"]), row["oldest"]

    def is_behind(self, sent: int, most: int) -> bool:
        """Whether more than `most` messages of the present boot are beyond what was sent."""
        return bool(self._store.rows(_ONE_BEYOND, (max(sent, self._began), most)))

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


_NO_END = 2**62
_BETWEEN = "SELECT * FROM outbox WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
_ONE_BEYOND = "SELECT 1 FROM outbox WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?"
_UNDER_WAY_IN = "SELECT COUNT(*) AS n, MIN(id) AS oldest FROM outbox WHERE id > ? AND id <= ?"
_UNDER_WAY = "SELECT COALESCE(SUM(bytes), 0) FROM outbox WHERE sent = 1"
_HELD = "SELECT MIN(sequence) AS held FROM outbox WHERE boot = ?"
