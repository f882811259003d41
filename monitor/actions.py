"""Carries out what the rules decide: orders, tickets, retrains and withdrawals as rows, each with its line on the
timeline. Nothing here reaches outside the transaction; workers do what the rows say.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from contracts.orders import Sample
from monitor import labels, timeline
from monitor.orders import OrderDesk
from monitor.retrain_order import write_retrain
from monitor.rulebook import camera_parts
from monitor.rules.action import (
    Action,
    AskForLabels,
    AskPerson,
    ChangeIncident,
    CloseIncident,
    CloseTicket,
    HoldLabels,
    HoldRetrain,
    OfferAdoption,
    OpenIncident,
    OpenTicket,
    OrderRetrain,
    PastDrift,
    PhaseChanged,
    QualityAlert,
    VerdictsUnsafe,
    Withdraw,
)
from monitor.rules.incident import answers
from monitor.rules.model import ModelState
from monitor.rules.reason import Reason
from monitor.store.rollout_tables import ReleaseRow
from monitor.store.rule_tables import CameraRow, EventRow, IncidentRow
from monitor.withdrawing import withdraw_by_rule


class Actions:
    """One method for each kind of action."""

    def __init__(self, orders: OrderDesk) -> None:
        self._orders = orders
        self._deeds: dict[type[Any], Callable[..., ReleaseRow | None]] = {
            PhaseChanged: self._phase_changed,
            PastDrift: self._past_drift,
            OpenIncident: self._open_incident,
            ChangeIncident: self._change_incident,
            CloseIncident: self._close_incident,
            OpenTicket: self._open_ticket,
            CloseTicket: self._close_ticket,
            AskForLabels: self._ask_for_labels,
            QualityAlert: self._quality_alert,
            VerdictsUnsafe: self._verdicts_unsafe,
            OfferAdoption: self._offer_adoption,
            OrderRetrain: self._order_retrain,
            HoldRetrain: self._hold_retrain,
            HoldLabels: self._hold_labels,
            AskPerson: self._ask_person,
            Withdraw: self._withdraw,
        }

    def carry_out(self, session: Session, action: Action, state: ModelState, *, at: datetime) -> ReleaseRow | None:
        """Do it; returns the release that this brought into service, if any."""
        return self._deeds[type(action)](session, action, state, at)

    def settle(self, session: Session, state: ModelState, *, at: datetime) -> None:
        """Keep beside the open incident what a person may answer to it now."""
        if state.incident is None:
            return
        row = session.get(IncidentRow, state.incident.incident_id)
        if row is None or row.state != "open":
            return
        evidence = state.incident.evidence
        told = {
            "answers": list(answers(state.incident)),
            "labels": evidence.labels,
            "random": evidence.random,
            "wrong": evidence.wrong,
            "asked": state.incident.asked,
        }
        if any(row.details.get(name) != value for name, value in told.items()):
            row.details = row.details | told

    def _phase_changed(self, session: Session, action: PhaseChanged, state: ModelState, at: datetime) -> None:
        agent, camera, product = camera_parts(action.camera)
        row = session.get(CameraRow, (state.site, agent, camera, product))
        if row is not None:
            row.state = action.after.value
        bundle_hash = state.facts.bundle_hash if state.facts is not None else None
        timeline.note_reason(
            session,
            "phase",
            action.reason,
            site=state.site,
            at=at,
            agent=agent,
            camera=camera,
            product=product,
            bundle_hash=bundle_hash,
            incident_id=state.incident.incident_id if state.incident is not None else None,
            before=action.before.value,
            after=action.after.value,
        )

    def _past_drift(self, session: Session, action: PastDrift, state: ModelState, at: datetime) -> None:
        agent, camera, product = camera_parts(action.camera)
        place = {"agent": agent, "camera": camera, "product": product}
        timeline.note_reason(session, "phase", action.reason, site=state.site, at=at, **place)

    def _open_incident(self, session: Session, action: OpenIncident, state: ModelState, at: datetime) -> None:
        row = session.get(IncidentRow, action.incident_id)
        if row is None:
            row = IncidentRow(incident_id=action.incident_id, site=state.site, details={}, opened_at=at)
            session.add(row)
        row.bundle_hash = state.facts.bundle_hash if state.facts is not None else None
        row.state, row.closed_at, row.resolution = "open", None, None
        row.phase, row.diagnosis, row.cameras = "DIAGNOSE", action.diagnosis.value, list(action.cameras)
        _explain(row, action.reason, at)
        self._note(session, "incident", action, state, at, what="opened", diagnosis=action.diagnosis.value)

    def _change_incident(self, session: Session, action: ChangeIncident, state: ModelState, at: datetime) -> None:
        row = session.get_one(IncidentRow, action.incident_id)
        before = (row.phase, row.diagnosis, row.cameras)
        if row.phase != action.phase.value:  # whoever was asked about the phase before is asked no more
            row.details = {name: value for name, value in row.details.items() if name != "ask"}
        told = row.updated_at == at and row.reason["code"] == action.reason.code  # by its opening, a moment ago
        row.phase, row.diagnosis, row.cameras = action.phase.value, action.diagnosis.value, list(action.cameras)
        _explain(row, action.reason, at)
        if not told and before != (row.phase, row.diagnosis, row.cameras):
            self._note(
                session,
                "incident",
                action,
                state,
                at,
                what="changed",
                phase=action.phase.value,
                diagnosis=action.diagnosis.value,
                cameras=list(action.cameras),
            )

    def _close_incident(self, session: Session, action: CloseIncident, state: ModelState, at: datetime) -> None:
        row = session.get_one(IncidentRow, action.incident_id)
        row.state, row.phase, row.closed_at, row.resolution = "closed", "CLOSED", at, timeline.plain(action.reason)
        row.details = row.details | {"answers": []}
        _explain(row, action.reason, at)
        self._orders.cancel(session, site=state.site, kind="sample", incident_id=action.incident_id)
        labels.expire_images(session, incident_id=action.incident_id)
        self._note(session, "incident", action, state, at, what="closed", resolution=action.resolution)

    def _open_ticket(self, session: Session, action: OpenTicket, state: ModelState, at: datetime) -> None:
        row = session.get_one(IncidentRow, action.incident_id)
        symptoms = [symptom.value for symptom in action.symptoms]
        ticket = {"symptoms": symptoms, "at": at.isoformat(), **timeline.as_json(action.reason)}
        row.details = row.details | {"tickets": {**row.details.get("tickets", {}), action.camera: ticket}}
        self._note(session, "ticket", action, state, at, camera=action.camera, what="opened", symptoms=symptoms)

    def _close_ticket(self, session: Session, action: CloseTicket, state: ModelState, at: datetime) -> None:
        row = session.get_one(IncidentRow, action.incident_id)
        tickets = {name: ticket for name, ticket in row.details.get("tickets", {}).items() if name != action.camera}
        row.details = row.details | {"tickets": tickets}
        self._note(session, "ticket", action, state, at, camera=action.camera, what="closed")

    def _ask_for_labels(self, session: Session, action: AskForLabels, state: ModelState, at: datetime) -> None:
        agent, camera, product = camera_parts(action.camera)
        order_id = self._orders.issue(
            session,
            Sample,
            site=state.site,
            agent=agent,
            reason=timeline.plain(action.reason),
            incident_id=action.incident_id,
            camera=camera,
            product=product,
            random=action.random,
            atypical=action.atypical,
            unsure=action.unsure,
            overruled=action.overruled,
            since=action.since,
            purpose="drift-sample",
        )
        self._note(
            session,
            "labels",
            action,
            state,
            at,
            camera=action.camera,
            order_id=order_id,
            **action.counts,
        )

    def _quality_alert(self, session: Session, action: QualityAlert, state: ModelState, at: datetime) -> None:
        row = session.get_one(IncidentRow, action.incident_id)
        row.details = row.details | {"shares": action.shares}
        self._note(session, "alert", action, state, at, camera=action.camera, shares=action.shares)

    def _verdicts_unsafe(self, session: Session, action: VerdictsUnsafe, state: ModelState, at: datetime) -> None:
        row = session.get_one(IncidentRow, action.incident_id)
        unsafe = sorted({*row.details.get("unsafe", []), *action.cameras})
        row.details = row.details | {"unsafe": unsafe}
        self._note(session, "unsafe", action, state, at, cameras=list(action.cameras))

    def _offer_adoption(self, session: Session, action: OfferAdoption, state: ModelState, at: datetime) -> None:
        row = session.get_one(IncidentRow, action.incident_id)
        row.details = row.details | {"offer": timeline.as_json(action.reason)}
        self._note(session, "offer", action, state, at)

    def _ask_person(self, session: Session, action: AskPerson, state: ModelState, at: datetime) -> None:
        row = session.get_one(IncidentRow, action.incident_id)
        row.details = row.details | {"ask": timeline.as_json(action.reason)}
        self._note(session, "person", action, state, at)

    def _hold_retrain(self, session: Session, action: HoldRetrain, state: ModelState, at: datetime) -> None:
        until = action.until.isoformat() if action.until is not None else None
        if action.incident_id is not None:
            row = session.get_one(IncidentRow, action.incident_id)
            row.details = row.details | {"hold": {**timeline.as_json(action.reason), "until": until}}
        self._note(session, "retrain", action, state, at, what="held", until=until)

    def _order_retrain(self, session: Session, action: OrderRetrain, state: ModelState, at: datetime) -> None:
        incident_id = action.incident_id
        written = write_retrain(
            session, site=state.site, parent_bundle=action.parent_bundle, incident_id=incident_id, reason=action.reason
        )
        if incident_id is not None:
            row = session.get_one(IncidentRow, incident_id)
            row.details = {name: value for name, value in row.details.items() if name not in ("hold", "ask")}
        self._note(session, "retrain", action, state, at, what="ordered", order_id=written.order_id)

    def _hold_labels(self, session: Session, action: HoldLabels, state: ModelState, at: datetime) -> None:
        self._note(session, "labels", action, state, at, camera=action.camera, what="held")

    def _withdraw(self, session: Session, action: Withdraw, state: ModelState, at: datetime) -> ReleaseRow | None:
        return withdraw_by_rule(session, state.site, action, at=at)

    def _note(self, session: Session, kind: str, action: Any, state: ModelState, at: datetime, **also: Any) -> EventRow:
        name = also.pop("camera", None)
        agent, camera, product = camera_parts(name) if name is not None else (None, None, None)
        return timeline.note_reason(
            session,
            kind,
            action.reason,
            site=state.site,
            at=at,
            agent=agent,
            camera=camera,
            product=product,
            bundle_hash=state.facts.bundle_hash if state.facts is not None else None,
            incident_id=action.incident_id,
            **also,
        )


def _explain(row: IncidentRow, reason: Reason, at: datetime) -> None:
    row.title, row.reason, row.updated_at = timeline.plain(reason), timeline.as_json(reason), at
