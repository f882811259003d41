"""What agents report at once: faults of cameras, what became of bundles, orders and outcomes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from contracts.errors import ConfigurationError
from contracts.telemetry import Birth, Event, EventKind, OutcomeReport, ShadowSummary, ThresholdsReport
from monitor import benchmarks, ratings, releases, timeline
from monitor.candidates import Candidates
from monitor.orders import OrderDesk
from monitor.rulebook import Rulebook
from monitor.rules.reason import Reason
from monitor.settings import LabelSettings
from monitor.store.rollout_tables import OrderRow
from monitor.store.rule_tables import CameraRow, EventRow
from monitor.store.telemetry_tables import AgentRow, MessageRow
from monitor.threshold_scores import record_scores
from monitor.withdrawing import withdraw

REFUSING_SHARE = 0.2
"""Share of a site's agents that, by refusing the active release, take it back for all."""


class AgentEvents:
    """One method for each kind of event."""

    def __init__(self, rulebook: Rulebook, candidates: Candidates, orders: OrderDesk, labels: LabelSettings) -> None:
        self._rulebook, self._candidates, self._orders, self._labels = rulebook, candidates, orders, labels
        self._deeds: dict[EventKind, Callable[[Session, MessageRow, AgentRow, Event], None]] = {
            EventKind.CAMERA_FAULT: self._camera_fault,
            EventKind.CAMERA_RECOVERED: self._camera_recovered,
            EventKind.BUNDLE_ACTIVATED: self._activated,
            EventKind.BUNDLE_REFUSED: self._refused,
            EventKind.BUNDLE_ROLLED_BACK: self._rolled_back,
            EventKind.SHADOW_STARTED: self._shadow_started,
            EventKind.THRESHOLDS_APPLIED: self._thresholds,
            EventKind.THRESHOLDS_REFUSED: self._thresholds,
            EventKind.INSPECTION_PAUSED: self._paused,
            EventKind.INSPECTION_RESUMED: self._resumed,
            EventKind.REPLAY_FINISHED: self._replay_finished,
            EventKind.ORDER_DONE: self._order_done,
            EventKind.ORDER_FAILED: self._order_failed,
            EventKind.OUTCOME: self._outcome,
        }
        self._late_deeds = self._deeds | {
            EventKind.CAMERA_FAULT: self._note_fault,
            EventKind.CAMERA_RECOVERED: self._note_recovery,
            EventKind.BUNDLE_ACTIVATED: self._note_activation,
            EventKind.SHADOW_STARTED: self._note_shadow,
            EventKind.OUTCOME: self._late_outcome,
        }

    def take(self, session: Session, message: MessageRow, agent: AgentRow, event: Event, *, late: bool = False) -> None:
        """Do what the event calls for; a `late` one changes nothing of what the agent is now. `dropped` is ingest's, by
        its tombstones."""
        deed = (self._late_deeds if late else self._deeds).get(event.event)
        if deed is not None:
            deed(session, message, agent, event)

    def _paused(self, session: Session, message: MessageRow, agent: AgentRow, event: Event) -> None:
        self._note(session, message, event, "agent.paused", why=event.reason)

    def _resumed(self, session: Session, message: MessageRow, agent: AgentRow, event: Event) -> None:
        self._note(session, message, event, "agent.resumed", why=event.reason)

    def _camera_fault(self, session: Session, message: MessageRow, agent: AgentRow, event: Event) -> None:
        self._set_fault(session, agent, event.camera, event.reason or "fault")
        self._note_fault(session, message, agent, event)

    def _note_fault(self, session: Session, message: MessageRow, agent: AgentRow, event: Event) -> None:
        self._note(session, message, event, "camera.fault", why=event.reason)

    def _camera_recovered(self, session: Session, message: MessageRow, agent: AgentRow, event: Event) -> None:
        self._set_fault(session, agent, event.camera, None)
        self._note_recovery(session, message, agent, event)

    def _note_recovery(self, session: Session, message: MessageRow, agent: AgentRow, event: Event) -> None:
        self._note(session, message, event, "camera.recovered", why=event.reason)

    def set_faults(self, session: Session, agent: AgentRow, birth: Birth) -> None:
        """As the agent says of its cameras, where it does."""
        for camera in birth.cameras:
            if camera.fault is not None:
                self._set_fault(session, agent, camera.camera, camera.fault or None)

    def _set_fault(self, session: Session, agent: AgentRow, camera: str | None, fault: str | None) -> None:
        for row in session.scalars(
            select(CameraRow).where(
                CameraRow.site == agent.site, CameraRow.agent == agent.agent, CameraRow.camera == camera
            )
        ):
            row.fault = fault

    def _activated(self, session: Session, message: MessageRow, agent: AgentRow, event: Event) -> None:
        agent.bundle_hash = event.bundle_hash
        agent.release_number = event.details.get("release")
        if agent.shadow_hash == event.bundle_hash:
            agent.shadow_hash = None
        self._note_activation(session, message, agent, event)

    def _note_activation(self, session: Session, message: MessageRow, agent: AgentRow, event: Event) -> None:
        release = event.details.get("release")
        self._note(session, message, event, "bundle.activated", why=event.reason, release=release)

    def _refused(self, session: Session, message: MessageRow, agent: AgentRow, event: Event) -> None:
        self._note(session, message, event, "bundle.refused", why=event.reason)
        session.flush()
        shadow = self._candidates.in_shadow(session, agent.site)
        if shadow is not None and shadow.bundle_hash == event.bundle_hash:
            reason = Reason(code="candidate.agent-refused", parameters={"agent": agent.agent, "why": event.reason})
            self._candidates.refuse(session, shadow, [reason], stage="agent")
            return
        self._take_back(session, agent, event)

    def _take_back(self, session: Session, agent: AgentRow, event: Event) -> None:
        """The active release goes back for the whole site when enough of its agents cannot run it."""
        active = releases.active_release(session, agent.site)
        before = releases.previous_release(session, agent.site)
        if active is None or active.bundle_hash != event.bundle_hash or before is None:
            return
        agents = session.scalar(select(func.count()).select_from(AgentRow).where(AgentRow.site == agent.site)) or 1
        refusing = session.scalar(
            select(func.count(EventRow.agent.distinct())).where(
                EventRow.site == agent.site,
                EventRow.code == "bundle.refused",
                EventRow.bundle_hash == event.bundle_hash,
            )
        )
        if (refusing or 0) < REFUSING_SHARE * agents:
            return
        reason = Reason(code="candidate.agent-refused", parameters={"agent": agent.agent, "why": event.reason})
        withdraw(session, active, before, reason, at=self._rulebook.clock(session, agent.site))
        self._rulebook.tell_release(session, before)

    def _rolled_back(self, session: Session, message: MessageRow, agent: AgentRow, event: Event) -> None:
        self._note(session, message, event, "bundle.rolled-back", why=event.reason)

    def _shadow_started(self, session: Session, message: MessageRow, agent: AgentRow, event: Event) -> None:
        agent.shadow_hash = event.bundle_hash
        self._note_shadow(session, message, agent, event)

    def _note_shadow(self, session: Session, message: MessageRow, agent: AgentRow, event: Event) -> None:
        self._note(session, message, event, "bundle.shadow-started")
        row = self._candidates.in_shadow(session, agent.site)
        if row is not None and row.bundle_hash == event.bundle_hash:
            self._candidates.ask_replay(session, row, agent.agent)

    def _thresholds(self, session: Session, message: MessageRow, agent: AgentRow, event: Event) -> None:
        try:
            told = ThresholdsReport.model_validate(event.details)
        except ValidationError as error:
            self._unusable(session, message, event, error)
            return
        refused = event.event is EventKind.THRESHOLDS_REFUSED
        code = "thresholds.refused" if refused else "thresholds.own" if told.number is None else "thresholds.applied"
        self._note(session, message, event, code, why=event.reason, **told.model_dump())

    def _replay_finished(self, session: Session, message: MessageRow, agent: AgentRow, event: Event) -> None:
        try:
            summary = ShadowSummary.model_validate(event.details)
        except ValidationError as error:
            self._unusable(session, message, event, error)
            return
        self._candidates.record_replay(
            session,
            site=agent.site,
            agent=agent.agent,
            bundle_hash=summary.bundle_hash,
            summary=summary.model_dump(mode="json"),
        )
        self._note(
            session,
            message,
            event,
            "bundle.replay-finished",
            images=summary.images,
            agreements=summary.agreements,
            failures=summary.failures,
        )

    def _order_done(self, session: Session, message: MessageRow, agent: AgentRow, event: Event) -> None:
        row = self._own_order(session, agent, event)
        if row is None or row.state != "open":
            return
        at = self._rulebook.clock(session, agent.site)
        if row.kind in ("benchmark", "count-scores"):
            try:
                if row.kind == "benchmark":
                    benchmarks.record(session, row, event.details, at=at)
                else:
                    record_scores(session, row, event.details)
            except ConfigurationError as error:
                why = f"its figures cannot be used: {error}"
                self._note(session, message, event, "agent.unreadable", sequence=message.sequence, why=why)
                self._orders.close(session, row.order_id, state="failed", outcome=why, at=at)
                return
        self._orders.close(session, row.order_id, state="done", outcome=event.reason, at=at)

    def _order_failed(self, session: Session, message: MessageRow, agent: AgentRow, event: Event) -> None:
        row = self._own_order(session, agent, event)
        if row is None:
            return
        at = self._rulebook.clock(session, agent.site)
        closed = self._orders.close(session, row.order_id, state="failed", outcome=event.reason, at=at)
        if closed is not None and row.kind == "replay":
            self._candidates.record_replay(
                session, site=agent.site, agent=agent.agent, bundle_hash=row.body["bundle_hash"], summary=None
            )

    def _own_order(self, session: Session, agent: AgentRow, event: Event) -> OrderRow | None:
        """An agent can only close orders of its own."""
        row = session.get(OrderRow, event.order_id) if event.order_id is not None else None
        if row is None or (row.site, row.agent) != (agent.site, agent.agent):
            return None
        return row

    def _late_outcome(self, session: Session, message: MessageRow, agent: AgentRow, event: Event) -> None:
        self._outcome(session, message, agent, event, late=True)

    def _outcome(
        self, session: Session, message: MessageRow, agent: AgentRow, event: Event, *, late: bool = False
    ) -> None:
        try:
            report = OutcomeReport.model_validate(event.details)
        except ValidationError as error:
            self._unusable(session, message, event, error)
            return
        at = datetime.now(UTC)
        for row in ratings.report(session, report, site=agent.site, agent=agent.agent, at=at, settings=self._labels):
            self._rulebook.tell_label(session, row, late=late and row.part_id == report.outcome.part_id)

    def _unusable(self, session: Session, message: MessageRow, event: Event, error: ValidationError) -> None:
        why = f"{event.event}: {error.errors()[0]['loc']} {error.errors()[0]['msg']}"
        self._note(session, message, event, "agent.unreadable", sequence=message.sequence, why=why)

    def _note(self, session: Session, message: MessageRow, event: Event, code: str, **parameters: Any) -> None:
        timeline.note(
            session,
            code,
            site=message.site,
            at=event.at,
            agent=message.agent,
            camera=event.camera,
            product=event.product,
            bundle_hash=event.bundle_hash,
            order_id=event.order_id,
            **parameters,
        )
