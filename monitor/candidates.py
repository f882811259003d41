"""What can happen to a candidate: handed in, refused, sent into the shadow, approved, promoted. Each is one transaction
that leaves row, release, channel, rules and timeline in step; `judging` decides when.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from contracts.errors import OrderError
from contracts.orders import Replay
from monitor import releases, timeline
from monitor.candidate_states import OPEN_STATES
from monitor.orders import OrderDesk, new_id
from monitor.rulebook import Rulebook
from monitor.rules.gate import GateVerdict
from monitor.rules.reason import Reason
from monitor.settings import RolloutSettings
from monitor.store.rollout_tables import BundleRow, CandidateRow, ReleaseRow
from monitor.store.telemetry_tables import AgentRow, MessageRow
from runtime.bundle import Bundle


class Candidates:
    """The deeds. Every method takes the open write transaction of its caller."""

    def __init__(self, rulebook: Rulebook, orders: OrderDesk, settings: RolloutSettings) -> None:
        self._rulebook = rulebook
        self._orders = orders
        self._settings = settings

    def submit(
        self,
        session: Session,
        bundle: Bundle,
        *,
        origin: str,
        reason: str,
        submitted_by: str,
        order_id: str | None = None,
        incident_id: str | None = None,
    ) -> CandidateRow:
        """A bundle that lies on the shelf wants to become a release. Raises OrderError where the same one is on its
        way, active or refused already."""
        site, product = bundle.manifest.site, bundle.manifest.product
        self._check_new(session, site, bundle.hash)
        if session.get(BundleRow, bundle.hash) is None:
            session.add(
                BundleRow(
                    bundle_hash=bundle.hash,
                    site=site,
                    product=product,
                    manifest=bundle.manifest.model_dump(mode="json"),
                    stored_at=datetime.now(UTC),
                )
            )
        row = CandidateRow(
            candidate_id=new_id("candidate"),
            site=site,
            product=product,
            bundle_hash=bundle.hash,
            origin=origin,
            reason=reason,
            submitted_by=submitted_by,
            submitted_at=datetime.now(UTC),
            state="submitted",
            order_id=order_id,
            incident_id=incident_id,
            approvals=[],
        )
        session.add(row)
        session.flush()
        self._note(session, row, "candidate.submitted", by=submitted_by, why=reason)
        return row

    def _check_new(self, session: Session, site: str, bundle_hash: str) -> None:
        active = releases.active_release(session, site)
        if active is not None and active.bundle_hash == bundle_hash:
            raise OrderError(f"bundle {bundle_hash[:12]} is release {active.number}, which is active")
        if (why := releases.is_refused(session, site, bundle_hash)) is not None:
            raise OrderError(f"bundle {bundle_hash[:12]} was refused before: {why}")
        on_its_way = select(CandidateRow.candidate_id).where(
            CandidateRow.site == site, CandidateRow.bundle_hash == bundle_hash, CandidateRow.state.in_(OPEN_STATES)
        )
        if (known := session.scalars(on_its_way).first()) is not None:
            raise OrderError(f"bundle {bundle_hash[:12]} is on its way already, as {known}")

    def record_gate(self, session: Session, row: CandidateRow, verdict: GateVerdict) -> None:
        """Keep what the gate said."""
        row.gate = {
            **verdict.model_dump(mode="json"),
            "reasons": [timeline.as_json(reason) for reason in verdict.reasons],
        }

    def refuse(self, session: Session, row: CandidateRow, reasons: Sequence[Reason], *, stage: str) -> None:
        """The candidate ends here and its bundle never runs at the site. `stage`: gate, shadow, agent or person."""
        words = "; ".join(timeline.plain(reason) for reason in reasons)
        row.state, row.closed_at, row.closing = "refused", datetime.now(UTC), words
        release = self.release_of(session, row)
        if release is not None:
            releases.end_shadow(session, release, reason=words, refuse=True)
        else:
            releases.refuse_bundle(session, site=row.site, bundle_hash=row.bundle_hash, reason=words)
        self._orders.cancel(session, site=row.site, kind="replay")
        self._note(session, row, "candidate.refused", stage=stage, why=words, release=row.release_number)
        self._rulebook.tell_candidate(session, row, stage="refused", reason=reasons[0])

    def promote_first(self, session: Session, row: CandidateRow, verdict: GateVerdict) -> None:
        """The first release of a site: there is nothing it could shadow."""
        self.record_gate(session, row, verdict)
        self._number(session, row, state="active")
        self._promote(session, row, why=row.reason)

    def begin_shadow(self, session: Session, row: CandidateRow) -> None:
        """Run it beside the active release, and replay what the agents kept."""
        now = self._rulebook.clock(session, row.site)
        release = self._number(session, row, state="shadow")
        releases.start_shadow(session, release, reason=row.reason)
        row.state = "shadowing"
        newest = session.scalar(select(func.max(MessageRow.id)).where(MessageRow.site == row.site)) or 0
        row.shadow = {
            "started_at": now.isoformat(),
            "started_by_clock": datetime.now(UTC).isoformat(),
            "after_message": newest,
            "replays": {},
            "labelled": [],
        }
        for agent in session.scalars(select(AgentRow.agent).where(AgentRow.site == row.site, AgentRow.online)):
            self.ask_replay(session, row, agent)
        self._note(session, row, "candidate.shadow", release=release.number, why=row.reason)
        self._rulebook.tell_candidate(
            session,
            row,
            stage="shadow",
            reason=Reason(code="candidate.shadow-begins", parameters={"release": release.number}),
        )

    def ask_replay(self, session: Session, row: CandidateRow, agent: str) -> None:
        """Ask an agent, once, to replay what it kept with the bundle in the shadow."""
        if agent in (row.shadow or {})["replays"]:
            return
        order_id = self._orders.issue(
            session,
            Replay,
            site=row.site,
            agent=agent,
            reason=f"release {row.release_number} is in the shadow",
            incident_id=row.incident_id,
            bundle_hash=row.bundle_hash,
            images=self._settings.replay_images,
        )
        shadow = dict(row.shadow or {})
        row.shadow = shadow | {"replays": shadow["replays"] | {agent: {"order_id": order_id, "summary": None}}}

    def record_replay(
        self, session: Session, *, site: str, agent: str, bundle_hash: str, summary: dict[str, Any] | None
    ) -> None:
        """An agent has replayed (`summary` None: it could not)."""
        row = self.in_shadow(session, site)
        if row is None or row.bundle_hash != bundle_hash or row.shadow is None:
            return
        known = row.shadow["replays"].get(agent, {"order_id": None})
        replays = row.shadow["replays"] | {agent: known | {"summary": summary or {}}}
        row.shadow = row.shadow | {"replays": replays}

    def promote(self, session: Session, row: CandidateRow, reason: Reason) -> None:
        """The shadow is served from now on."""
        self._promote(session, row, why=timeline.plain(reason))

    def _promote(self, session: Session, row: CandidateRow, *, why: str) -> None:
        release = self.release_of(session, row)
        if release is None:
            raise OrderError(f"{row.candidate_id} has no release number")
        releases.activate(session, release, reason=why, at=self._rulebook.clock(session, row.site))
        row.state, row.closed_at, row.closing = "promoted", datetime.now(UTC), why
        self._note(session, row, "candidate.promoted", release=release.number, why=why)
        self._rulebook.tell_release(session, release)
        self._rulebook.tell_candidate(
            session,
            row,
            stage="promoted",
            reason=Reason(code="candidate.is-active", parameters={"release": release.number}),
        )

    def wait_for_people(self, session: Session, row: CandidateRow, reason: Reason) -> None:
        """The shadow was clean; people decide."""
        if row.state != "approving":
            row.state = "approving"
            self._note(session, row, "candidate.approving", release=row.release_number, why=timeline.plain(reason))

    def record_word(self, session: Session, row: CandidateRow, *, by: str, approved: bool, reason: str) -> None:
        """A person approves or rejects; the same person's later word replaces the earlier one."""
        said = {"by": by, "approved": approved, "reason": reason, "at": datetime.now(UTC).isoformat()}
        row.approvals = [word for word in row.approvals if word["by"] != by] + [said]
        code = "candidate.approved-by" if approved else "candidate.rejected-by"
        self._note(session, row, code, release=row.release_number, by=by, why=reason)

    def release_of(self, session: Session, row: CandidateRow) -> ReleaseRow | None:
        """The candidate's release, once it has a number."""
        return session.get(ReleaseRow, (row.site, row.release_number)) if row.release_number else None

    def in_shadow(self, session: Session, site: str) -> CandidateRow | None:
        """The candidate whose shadow runs at the site."""
        query = select(CandidateRow).where(
            CandidateRow.site == site, CandidateRow.state.in_(("shadowing", "approving"))
        )
        return session.scalars(query).first()

    def _number(self, session: Session, row: CandidateRow, *, state: str) -> ReleaseRow:
        release = releases.new_release(
            session,
            site=row.site,
            product=row.product,
            bundle_hash=row.bundle_hash,
            candidate_id=row.candidate_id,
            state=state,
            reason=row.reason,
        )
        row.release_number = release.number
        return release

    def _note(self, session: Session, row: CandidateRow, code: str, **parameters: Any) -> None:
        timeline.note(
            session,
            code,
            site=row.site,
            at=self._rulebook.clock(session, row.site),
            product=row.product,
            bundle_hash=row.bundle_hash,
            incident_id=row.incident_id,
            order_id=row.order_id,
            candidate=row.candidate_id,
            origin=row.origin,
            **parameters,
        )
