"""A candidate in the shadow: what replay, windows and new labels say, and who has approved."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from contracts.errors import BundleError
from contracts.telemetry import ShadowSummary
from monitor import evidence, releases
from monitor.candidates import Candidates
from monitor.comparing import Comparing, manifest_of
from monitor.rulebook import Rulebook
from monitor.rules.approval import Approval, approve
from monitor.rules.gate import GateVerdict
from monitor.rules.paired import PairedPart
from monitor.rules.shadowing import Promotion, ShadowEvidence, ShadowSettings, ShadowVerdict, judge_shadow
from monitor.settings import RolloutSettings
from monitor.signed_thresholds import as_served
from monitor.store.database import Store
from monitor.store.rollout_tables import CandidateRow
from monitor.timeline import as_json

_log = logging.getLogger(__name__)


class Shadow:
    """`judge` looks at the candidate whose shadow runs."""

    def __init__(
        self,
        store: Store,
        candidates: Candidates,
        comparing: Comparing,
        rulebook: Rulebook,
        settings: ShadowSettings,
        rollout: RolloutSettings,
    ) -> None:
        self._store, self._candidates, self._comparing, self._rulebook = store, candidates, comparing, rulebook
        self._settings, self._rollout = settings, rollout

    def judge(self, candidate_id: str) -> bool:
        """Promote, refuse or go on waiting; True when the candidate moved on."""
        with self._store.read() as session:
            row = session.get_one(CandidateRow, candidate_id)
            seen, at = self._shadow_evidence(session, row)
        verdict = judge_shadow(seen, at, self._settings)
        if verdict.verdict is Promotion.PROMOTE and (fresh := self._answer_new_labels(row)):
            verdict = judge_shadow(seen.model_copy(update={"labelled": fresh}), at, self._settings)
        with self._store.write() as session:
            row = session.get_one(CandidateRow, candidate_id)
            if row.state not in ("shadowing", "approving"):
                return False
            return self._act_on_shadow(session, row, verdict)

    def _shadow_evidence(self, session: Session, row: CandidateRow) -> tuple[ShadowEvidence, datetime]:
        shadow = row.shadow or {}
        active = releases.active_release(session, row.site)
        good = manifest_of(session, active.bundle_hash if active else row.bundle_hash).good_labels
        sums = evidence.shadow_sums(session, row.site, row.bundle_hash, after_message=shadow["after_message"])
        defects, labels = evidence.random_defects(session, row.site, evidence.period_of(session, row), good)
        replays = [ShadowSummary.model_validate(r["summary"]) for r in shadow["replays"].values() if r["summary"]]
        seen = ShadowEvidence(
            started_at=datetime.fromisoformat(shadow["started_at"]),
            good_labels=good,
            replay_finished=self._replayed(shadow),
            replay_images=sum(replay.images for replay in replays),
            replay_failures=sum(replay.failures for replay in replays),
            images=sums.images,
            failures=sums.failures,
            active_decisions=sums.active_decisions,
            shadow_decisions=sums.shadow_decisions,
            active_latency_seconds_sum=sums.active_latency_seconds_sum,
            shadow_latency_seconds_sum=sums.shadow_latency_seconds_sum,
            active_images=sums.active_images,
            labelled=tuple(PairedPart.model_validate(part) for part in shadow["labelled"]),
            random_defects=defects,
            random_labels=labels,
        )
        return seen, self._rulebook.clock(session, row.site)

    def _replayed(self, shadow: dict[str, Any]) -> bool:
        """Whether every agent has replayed, or has had its time and at least one has."""
        done = [replay["summary"] is not None for replay in shadow["replays"].values()]
        waited = datetime.now(UTC) - datetime.fromisoformat(shadow["started_by_clock"])
        if waited.total_seconds() > self._rollout.replay_wait_seconds:
            return any(done) or not done
        return bool(done) and all(done)

    def _answer_new_labels(self, row: CandidateRow) -> tuple[PairedPart, ...]:
        """Labels for the gate that came in meanwhile, answered by both; all of the shadow's. Empty without news."""
        known = {part["part_id"] for part in (row.shadow or {})["labelled"]}
        with self._store.read() as session:
            active = releases.active_release(session, row.site)
            rows = evidence.gate_labels(session, row.site, evidence.period_of(session, row), known=known)
        if active is None or not rows:
            return ()
        images = evidence.gate_images(rows, self._comparing.blobs, self._comparing.image_folder)
        try:
            answers = self._comparing.answers(row.candidate_id, row.bundle_hash, active.bundle_hash, images)
        except BundleError as error:
            _log.error("labels of the shadow cannot be evaluated: %s", error)
            return ()
        with self._store.write() as session:
            before, after = (
                as_served(session, row.site, bundle_hash, manifest_of(session, bundle_hash))
                for bundle_hash in (active.bundle_hash, row.bundle_hash)
            )
            pairs = evidence.paired(images, answers["active"], before, answers["candidate"], after)
            kept = session.get_one(CandidateRow, row.candidate_id)
            shadow = dict(kept.shadow or {})
            shadow["labelled"] = [*shadow["labelled"], *(pair.model_dump(mode="json") for pair in pairs)]
            kept.shadow = shadow
            return tuple(PairedPart.model_validate(part) for part in shadow["labelled"])

    def _act_on_shadow(self, session: Session, row: CandidateRow, verdict: ShadowVerdict) -> bool:
        if verdict.verdict is Promotion.REFUSE:
            self._candidates.refuse(session, row, verdict.reasons, stage="shadow")
            return True
        said = approve(
            self._rollout.approval_for(row.site, row.product),
            GateVerdict.model_validate(row.gate),
            verdict,
            approved_by=[word["by"] for word in row.approvals if word["approved"]],
            rejected_by=[word["by"] for word in row.approvals if not word["approved"]],
        )
        before = row.state
        if said.verdict is Approval.STOP:
            self._candidates.refuse(session, row, [said.reason], stage="person")
        elif said.verdict is Approval.GO:
            told = {"approval": as_json(said.reason), "passed": [as_json(reason) for reason in verdict.reasons]}
            row.shadow = (row.shadow or {}) | told
            self._candidates.promote(session, row, verdict.reasons[0])
        elif said.verdict is Approval.WAIT_FOR_PEOPLE:
            self._candidates.wait_for_people(session, row, said.reason)
        return row.state != before
