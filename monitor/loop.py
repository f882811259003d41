"""The loop: committed telemetry, message by message, into rules, rows and timeline, each exactly once.

A boot's messages are taken in the order of their sequence, boots side by side in the order of sending; those of late
boots, which an agent's newer one has overtaken, behind all others. They tell what was: it is put down at its own time,
and what is now stays as newer messages have told it. How far a boot
has been worked through is committed together with everything that came of it.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts.errors import LinesideError
from contracts.telemetry import Birth, Event, Window
from monitor import timeline
from monitor.agent_events import AgentEvents
from monitor.audit import configure_audit
from monitor.orders import OrderDesk
from monitor.rulebook import Rulebook, Sight
from monitor.settings import LabelSettings
from monitor.store.database import Store
from monitor.store.rule_tables import CameraRow, EventRow
from monitor.store.telemetry_tables import AgentRow, BootRow, MessageRow, TombstoneRow, WindowRow

BATCH_MESSAGES = 50
UNPROCESSABLE = (ArithmeticError, LookupError, ValueError, TypeError, LinesideError)

_log = logging.getLogger(__name__)


class Loop:
    """Works through committed telemetry. One thread calls `step`."""

    def __init__(
        self, store: Store, rulebook: Rulebook, events: AgentEvents, orders: OrderDesk, settings: LabelSettings
    ) -> None:
        self._store, self._rulebook, self._events, self._orders = store, rulebook, events, orders
        self._settings = settings

    def step(self) -> int:
        """Work through up to BATCH_MESSAGES messages; returns how many. A message that no rule can digest is noted and
        passed over, so that it holds up nothing."""
        try:
            return self._batch(BATCH_MESSAGES, skip=None)
        except UNPROCESSABLE as error:
            _log.error("a batch of telemetry cannot be processed (%s); taking it message by message", error)
        done = 0
        for _ in range(BATCH_MESSAGES):
            try:
                taken = self._batch(1, skip=None)
            except UNPROCESSABLE as error:
                _log.exception("a message cannot be processed")
                taken = self._batch(1, skip=f"{type(error).__name__}: {error}")
            done += taken
            if taken == 0:
                break
        return done

    def _batch(self, most: int, *, skip: str | None) -> int:
        with self._store.write() as session:
            boots, messages = _waiting(session, most)
            for message in messages:
                if skip is None:
                    self._take(session, message, late=boots[message.site, message.agent, message.boot].late)
                else:
                    self._pass_over(session, message, skip)
                boots[message.site, message.agent, message.boot].processed = message.sequence
            for boot in boots.values():
                if not _has_more(session, boot):
                    boot.processed = boot.contiguous  # the rest lies under tombstones
            self._note_drops(session)
            return len(messages)

    def _take(self, session: Session, message: MessageRow, *, late: bool) -> None:
        agent = self._agent(session, message)
        if message.kind == "birth":
            self._birth(session, message, agent, Birth.model_validate(message.body), late=late)
        elif message.kind == "window":
            self._window(session, message, agent, Window.model_validate(message.body), late=late)
        elif message.kind == "event":
            self._events.take(session, message, agent, Event.model_validate(message.body), late=late)
        elif message.kind == "unreadable":
            self._pass_over(session, message, "unreadable")

    def _agent(self, session: Session, message: MessageRow) -> AgentRow:
        row = session.get(AgentRow, (message.site, message.agent))
        if row is None:
            row = AgentRow(
                site=message.site,
                agent=message.agent,
                online=True,
                last_seen_at=message.received_at,
                channel_sequence=0,
            )
            session.add(row)
        row.last_seen_at = max(row.last_seen_at, message.received_at)
        return row

    def _birth(self, session: Session, message: MessageRow, agent: AgentRow, birth: Birth, *, late: bool) -> None:
        known = _is_noted(session, message, birth)
        if not late:
            agent.birth = message.body
            agent.bundle_hash, agent.release_number = birth.bundle_hash, birth.release_number
            agent.shadow_hash, agent.channel_sequence = birth.shadow_hash, birth.channel_sequence
            self._events.set_faults(session, agent, birth)
        if known:
            return  # it has only reconnected
        if not late:
            agent.audit_fraction = None
        timeline.note(
            session,
            "agent.born",
            site=message.site,
            at=birth.started_at,
            agent=message.agent,
            bundle_hash=birth.bundle_hash,
            software=birth.software_version,
            cameras=[f"{camera.camera} ({camera.product})" for camera in birth.cameras],
        )

    def _window(self, session: Session, message: MessageRow, agent: AgentRow, window: Window, *, late: bool) -> None:
        line = _line(agent, window)
        sight = self._rulebook.tell_window(session, message.site, message.agent, window, line=line, late=late)
        session.add(_window_row(message, window, sight))
        camera = _camera(session, message, window)
        _count(camera, window)
        if not sight.past:
            _update(camera, window, sight)
            configure_audit(session, self._orders, agent, window, self._settings)

    def _pass_over(self, session: Session, message: MessageRow, why: str) -> None:
        timeline.note(
            session,
            "agent.unreadable",
            site=message.site,
            at=message.sent_at,
            agent=message.agent,
            boot=message.boot,
            sequence=message.sequence,
            why=why,
        )

    def _note_drops(self, session: Session) -> None:
        for row in session.scalars(select(TombstoneRow).where(TombstoneRow.noted < TombstoneRow.last)):
            first = max(row.first, row.noted + 1)
            timeline.note(
                session,
                "agent.dropped",
                site=row.site,
                at=self._rulebook.clock(session, row.site),
                agent=row.agent,
                boot=row.boot,
                first=first,
                last=row.last,
                count=row.last - first + 1,
            )
            row.noted = row.last


def _waiting(session: Session, most: int) -> tuple[dict[tuple[str, str, str], BootRow], list[MessageRow]]:
    """Boots with something to do, and their next messages, side by side in the order of sending, late boots last."""
    behind = select(BootRow).where(BootRow.processed < BootRow.contiguous)
    rows = session.scalars(behind.order_by(BootRow.late, BootRow.last_seen_at).limit(most)).all()
    boots = {(row.site, row.agent, row.boot): row for row in rows}
    queues = [
        session.scalars(
            select(MessageRow)
            .where(
                MessageRow.site == row.site,
                MessageRow.agent == row.agent,
                MessageRow.boot == row.boot,
                MessageRow.sequence > row.processed,
                MessageRow.sequence <= row.contiguous,
            )
            .order_by(MessageRow.sequence)
            .limit(most)
        ).all()
        for row in rows
    ]
    lines = [
        [((row.late, moment), message) for moment, message in line]
        for row, line in zip(rows, _monotone(queues), strict=True)
    ]
    merged = heapq.merge(*lines, key=lambda item: item[0])
    return boots, [message for _, message in merged][:most]


def _monotone(queues: Sequence[Sequence[MessageRow]]) -> list[list[tuple[datetime, MessageRow]]]:
    """Each message with the latest sending time up to it: within a boot the sequence rules, whatever its clock did."""
    timed = []
    for queue in queues:
        latest: datetime | None = None
        line = []
        for message in queue:
            latest = message.sent_at if latest is None else max(latest, message.sent_at)
            line.append((latest, message))
        timed.append(line)
    return timed


def _has_more(session: Session, boot: BootRow) -> bool:
    query = select(MessageRow.id).where(
        MessageRow.site == boot.site,
        MessageRow.agent == boot.agent,
        MessageRow.boot == boot.boot,
        MessageRow.sequence > boot.processed,
        MessageRow.sequence <= boot.contiguous,
    )
    return session.scalars(query.limit(1)).first() is not None


def _is_noted(session: Session, message: MessageRow, birth: Birth) -> bool:
    """Whether the timeline has this start of the agent."""
    session.flush()
    query = select(EventRow.id).where(
        EventRow.code == "agent.born",
        EventRow.site == message.site,
        EventRow.agent == message.agent,
        EventRow.at == birth.started_at,
    )
    return session.scalars(query.limit(1)).first() is not None


def _line(agent: AgentRow, window: Window) -> str:
    """The line of the window's camera, as the agent's birth told it."""
    if agent.birth is not None:
        for camera in Birth.model_validate(agent.birth).cameras:
            if camera.camera == window.camera:
                return camera.line
    return "line-1"


def _window_row(message: MessageRow, window: Window, sight: Sight) -> WindowRow:
    return WindowRow(
        message_id=message.id,
        site=message.site,
        agent=message.agent,
        camera=window.camera,
        product=window.product,
        bundle_hash=window.bundle_hash,
        runtime=window.runtime,
        started_at=window.started_at,
        ended_at=window.ended_at,
        first_frame=window.first_frame,
        last_frame=window.last_frame,
        images=window.images,
        dropped_images=window.dropped_images,
        decisions=message.body["decisions"],
        labels=message.body["labels"],
        latency_seconds_sum=window.latency_seconds_sum,
        t2=sight.t2,
        limit=sight.limit,
        contributions=sight.contributions,
        state=sight.phase,
        shadow=message.body["shadow"],
    )


def _camera(session: Session, message: MessageRow, window: Window) -> CameraRow:
    key = (message.site, message.agent, window.camera, window.product)
    row = session.get(CameraRow, key)
    if row is None:
        row = CameraRow(
            site=message.site,
            agent=message.agent,
            camera=window.camera,
            product=window.product,
            windows=0,
            images=0,
            decisions={},
        )
        session.add(row)
    return row


def _count(row: CameraRow, window: Window) -> None:
    row.windows, row.images = row.windows + 1, row.images + window.images
    counts: dict[str, int] = dict(row.decisions)
    for decision, count in window.decisions.items():
        counts[decision.value] = counts.get(decision.value, 0) + count
    row.decisions = counts


def _update(row: CameraRow, window: Window, sight: Sight) -> None:
    row.bundle_hash, row.runtime, row.state = window.bundle_hash, window.runtime, sight.phase
    row.learned_windows, row.windows_needed = sight.learned_windows, sight.windows_needed
    row.t2, row.limit, row.incident_id = sight.t2, sight.limit, sight.incident_id
    row.last_window_at = window.ended_at
