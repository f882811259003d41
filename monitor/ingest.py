"""Telemetry into the store: every message once, acknowledged after the commit, whatever else arrives.

A message is identified by (site, agent, boot, sequence); site and agent come from the topic, which the broker
authenticated, never from the payload. What cannot be read but can be numbered is stored as `unreadable`, so that one
bad message never holds up those behind it; what cannot even be numbered is counted.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from contracts.names import Identifier
from contracts.telemetry import Ack, Envelope, Event, EventKind, Status, parse_topic
from monitor.store.database import Store
from monitor.store.rule_tables import CameraRow
from monitor.store.telemetry_tables import AgentRow, BootRow, MessageRow, PoisonRow, TombstoneRow

LARGEST_MESSAGE_BYTES = 256 * 1024
SAMPLE_CHARACTERS = 300
LARGEST_SEQUENCE = 2**53

_log = logging.getLogger(__name__)
_identifier = TypeAdapter(Identifier)


@dataclass(frozen=True)
class Arrival:
    """One MQTT message as it came in."""

    topic: str
    payload: bytes
    received_at: datetime


@dataclass(frozen=True)
class _Numbered:
    """A message that can be stored: who, which boot, which number."""

    site: str
    agent: str
    boot: str
    sequence: int
    kind: str
    sent_at: datetime
    received_at: datetime
    body: dict[str, Any]
    covers: int
    oldest_held: int
    late: bool = False


class _Poison(Exception):
    """This message cannot be used; the argument is a short reason by which such messages are counted."""


class Ingest:
    """Commits arrivals. `sites`: the sites this monitor serves; others are counted as poison."""

    def __init__(self, store: Store, *, sites: Sequence[str]) -> None:
        self._store = store
        self._sites = frozenset(sites)

    def commit(self, arrivals: Iterable[Arrival]) -> list[tuple[str, Ack]]:
        """Store all of them in one transaction; returns (site, acknowledgement) of every boot that spoke.

        When it returns, what it acknowledges is on disk. Repeating a message changes nothing and acknowledges again.
        """
        with self._store.write() as session:
            boots: dict[tuple[str, str, str], int] = {}
            for arrival in arrivals:
                try:
                    message = self._read(arrival, session)
                except _Poison as poison:
                    self._count(arrival, str(poison), session)
                    continue
                if message is not None:
                    boot = (message.site, message.agent, message.boot)
                    boots[boot] = max(boots.get(boot, 0), message.oldest_held - 1)
                    _insert(message, session)
            return [_acknowledge(boot, held, session) for boot, held in boots.items()]

    def _read(self, arrival: Arrival, session: Session) -> _Numbered | None:
        try:
            site, agent, kind = parse_topic(arrival.topic)
        except ValueError:
            raise _Poison("topic") from None
        if site not in self._sites:
            raise _Poison("unknown site")
        if not arrival.payload:
            return None  # a knock: somebody asks the broker whether this topic may be spoken on
        if len(arrival.payload) > LARGEST_MESSAGE_BYTES:
            raise _Poison("too large")
        if kind == "status":
            _note_status(site, agent, arrival, session)
            return None
        if kind not in ("telemetry", "event"):
            raise _Poison("topic kind")
        return self._number(site, agent, arrival, session)

    def _number(self, site: str, agent: str, arrival: Arrival, session: Session) -> _Numbered:
        try:
            envelope = Envelope.model_validate_json(arrival.payload)
        except ValidationError as error:
            message = _salvage(site, agent, arrival)
            first = error.errors()[0]
            self._count(arrival, f"unreadable: {'.'.join(str(part) for part in first['loc'])[:60]}", session)
            return message
        if envelope.sequence > LARGEST_SEQUENCE:
            raise _Poison("sequence too large")
        if envelope.agent != agent:
            self._count(arrival, "agent differs from topic", session)
        body = envelope.body
        dropped = isinstance(body, Event) and body.event is EventKind.DROPPED
        covers = (body.last_sequence or envelope.sequence) if isinstance(body, Event) and dropped else envelope.sequence
        if covers > LARGEST_SEQUENCE:
            raise _Poison("sequence too large")
        return _Numbered(
            site=site,
            agent=agent,
            boot=envelope.boot,
            sequence=envelope.sequence,
            kind="tombstone" if dropped else body.kind,
            sent_at=envelope.sent_at,
            received_at=arrival.received_at,
            body=body.model_dump(mode="json"),
            covers=covers,
            oldest_held=min(envelope.oldest_held or 1, envelope.sequence),
            late=envelope.late,
        )

    def _count(self, arrival: Arrival, reason: str, session: Session) -> None:
        try:
            site, agent, _ = parse_topic(arrival.topic)
        except ValueError:
            site, agent = "?", "?"
        if site not in self._sites:
            site, agent = "?", "?"  # a stranger may not fill the table with names
        sample = arrival.payload[:SAMPLE_CHARACTERS].decode("utf-8", errors="replace")
        row = session.get(PoisonRow, (site, agent, reason))
        if row is None:
            row = PoisonRow(site=site, agent=agent, reason=reason, count=0, last_at=arrival.received_at, sample=sample)
            session.add(row)
        row.count += 1
        row.last_at = arrival.received_at
        row.sample = sample
        _log.warning("message on %.120r cannot be used (%s); %d so far", arrival.topic, reason, row.count)


def _salvage(site: str, agent: str, arrival: Arrival) -> _Numbered:
    """An unreadable message that still says its boot and number. Raises _Poison where it does not."""
    try:
        values = json.loads(arrival.payload)
        boot = _identifier.validate_python(values["boot"])
        sequence = values["sequence"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _Poison("unreadable and without a number") from None
    if type(sequence) is not int or not 1 <= sequence <= LARGEST_SEQUENCE:
        raise _Poison("unreadable and without a number")
    raw = arrival.payload.decode("utf-8", errors="replace")
    return _Numbered(
        site=site,
        agent=agent,
        boot=boot,
        sequence=sequence,
        kind="unreadable",
        sent_at=arrival.received_at,
        received_at=arrival.received_at,
        body={"raw": raw},
        covers=sequence,
        oldest_held=1,
    )


def _insert(message: _Numbered, session: Session) -> None:
    boot = _boot(message.site, message.agent, message.boot, message.received_at, session)
    boot.last_seen_at = message.received_at
    boot.late = boot.late or message.late
    if message.kind == "tombstone":
        _bury(message, session)
    if message.sequence <= boot.contiguous:
        return  # acknowledged before
    session.execute(
        insert(MessageRow)
        .values(
            site=message.site,
            agent=message.agent,
            boot=message.boot,
            sequence=message.sequence,
            kind=message.kind,
            sent_at=message.sent_at,
            received_at=message.received_at,
            body=message.body,
        )
        .on_conflict_do_nothing(index_elements=["site", "agent", "boot", "sequence"])
    )


def _bury(message: _Numbered, session: Session) -> None:
    """Remember that `sequence`..`covers` will never come. A tombstone may grow; it never shrinks."""
    key = (message.site, message.agent, message.boot, message.sequence)
    row = session.get(TombstoneRow, key)
    if row is None:
        session.add(
            TombstoneRow(
                site=message.site,
                agent=message.agent,
                boot=message.boot,
                first=message.sequence,
                last=max(message.covers, message.sequence),
            )
        )
    else:
        row.last = max(row.last, message.covers)


def _boot(site: str, agent: str, boot: str, moment: datetime, session: Session) -> BootRow:
    row = session.get(BootRow, (site, agent, boot))
    if row is None:
        row = BootRow(
            site=site,
            agent=agent,
            boot=boot,
            contiguous=0,
            processed=0,
            late=False,
            first_seen_at=moment,
            last_seen_at=moment,
        )
        session.add(row)
        session.flush()
    return row


def _acknowledge(boot: tuple[str, str, str], held_before: int, session: Session) -> tuple[str, Ack]:
    site, agent, name = boot
    row = session.get_one(BootRow, boot)
    start = max(row.contiguous, held_before)
    session.flush()
    sequences = session.scalars(
        select(MessageRow.sequence)
        .where(MessageRow.site == site, MessageRow.agent == agent, MessageRow.boot == name, MessageRow.sequence > start)
        .order_by(MessageRow.sequence)
    )
    ranges = session.execute(
        select(TombstoneRow.first, TombstoneRow.last).where(
            TombstoneRow.site == site,
            TombstoneRow.agent == agent,
            TombstoneRow.boot == name,
            TombstoneRow.last > start,
        )
    )
    row.contiguous = highest_contiguous(start, sequences, ((first, last) for first, last in ranges))
    cameras = session.scalars(select(CameraRow).where(CameraRow.site == site, CameraRow.agent == agent))
    states = {camera.camera: camera.state for camera in cameras}
    return site, Ack(agent=agent, boot=name, sequence=row.contiguous, cameras=states, takes_late=True)


def highest_contiguous(start: int, sequences: Iterable[int], ranges: Iterable[tuple[int, int]]) -> int:
    """The highest n such that everything in `start + 1`..n is among `sequences` or inside one of `ranges`.

    >>> highest_contiguous(0, [1, 2, 7], [(3, 5)])
    5
    >>> highest_contiguous(4, [6], [])
    4
    """
    covered = sorted([(sequence, sequence) for sequence in sequences] + list(ranges))
    highest = start
    for first, last in covered:
        if first > highest + 1:
            break
        highest = max(highest, last)
    return highest


def _note_status(site: str, agent: str, arrival: Arrival, session: Session) -> None:
    try:
        status = Status.model_validate_json(arrival.payload)
    except ValidationError:
        raise _Poison("unreadable status") from None
    row = session.get(AgentRow, (site, agent))
    if row is None:
        row = AgentRow(site=site, agent=agent, last_seen_at=arrival.received_at, channel_sequence=0)
        session.add(row)
    elif not status.online and row.boot != status.boot:
        return  # the last will of an earlier life
    row.boot = status.boot
    row.online = status.online
    row.status_at = status.at
    if status.online:
        row.last_seen_at = arrival.received_at
