"""Decides about candidates: evaluates them for the gate, watches their shadow, counts approvals.

`step` moves every candidate as far as it can go now. Evaluations run outside transactions; what they say is only used
when the candidate still stands where it stood, so a kill at any point repeats work and doubles nothing.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts.bundle import Certificate, Manifest
from contracts.errors import BundleError
from contracts.telemetry import Birth, ShadowSummary
from monitor import evidence, releases
from monitor.blobs import Blobs
from monitor.bundles import BundleShelf
from monitor.candidates import Candidates
from monitor.evaluation import Answers, LabelledImage, Request, evaluate
from monitor.first_release import judge_first
from monitor.rulebook import Rulebook
from monitor.rules.approval import Approval, approve
from monitor.rules.gate import GateEvidence, GateVerdict, judge_candidate
from monitor.rules.paired import PairedPart
from monitor.rules.reason import Reason
from monitor.rules.shadowing import Promotion, ShadowEvidence, ShadowVerdict, judge_shadow
from monitor.settings import MonitorSettings
from monitor.store.database import Store
from monitor.store.rollout_tables import BundleRow, CandidateRow, RefusedRow
from monitor.store.telemetry_tables import AgentRow
from runtime.metrics import task_metrics

_log = logging.getLogger(__name__)


class Judging:
    """The worker over candidates of all sites. `scratch` takes the evaluations' files."""

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        shelf: BundleShelf,
        candidates: Candidates,
        rulebook: Rulebook,
        settings: MonitorSettings,
        *,
        scratch: Path,
    ) -> None:
        self._store, self._blobs, self._shelf = store, blobs, shelf
        self._candidates, self._rulebook = candidates, rulebook
        self._settings = settings
        self._scratch = scratch

    def step(self) -> bool:
        """Move on whatever can move; True when something did."""
        with self._store.read() as session:
            rows = session.scalars(
                select(CandidateRow)
                .where(CandidateRow.state.in_(("submitted", "queued", "shadowing", "approving")))
                .order_by(CandidateRow.submitted_at)
            ).all()
        moved = False
        for row in rows:
            if row.state == "submitted":
                moved |= self._judge_at_gate(row.candidate_id)
            elif row.state == "queued":
                moved |= self._leave_queue(row.candidate_id)
            else:
                moved |= self._judge_in_shadow(row.candidate_id)
        return moved

    # --- the gate

    def _judge_at_gate(self, candidate_id: str) -> bool:
        with self._store.read() as session:
            row = session.get_one(CandidateRow, candidate_id)
            active = releases.active_release(session, row.site)
            period = evidence.period_of(session, row)
            gold = evidence.gold_images(session, row.site, self._blobs, self._scratch / "images")
            gate_rows = evidence.gate_labels(session, row.site, period) if active is not None else []
        new = evidence.gate_images(gate_rows, self._blobs, self._scratch / "images")
        active_hash = active.bundle_hash if active is not None else None
        try:
            answers = self._answers(row.candidate_id, row.bundle_hash, active_hash, [*gold, *new])
        except BundleError as error:
            verdict = _broken(str(error))
        else:
            with self._store.read() as session:
                verdict = self._gate_verdict(session, row, active_hash, answers, gold, new)
        with self._store.write() as session:
            return self._leave_gate(session, candidate_id, active_hash, verdict)

    def _answers(
        self, name: str, candidate: str, active: str | None, images: Sequence[LabelledImage]
    ) -> dict[str, Answers]:
        """Answers of both bundles. Raises BundleError where the candidate has none."""
        bundles = {"candidate": self._shelf.path(candidate)}
        if active is not None:
            bundles["active"] = self._shelf.path(active)
        folder = self._scratch / name
        request = Request(bundles=bundles, images=tuple(images), threads=self._settings.rollout.threads)
        try:
            found = evaluate(request, folder=folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if found.errors:
            raise BundleError("; ".join(f"{which}: {why}" for which, why in found.errors.items()))
        return found.answers

    def _gate_verdict(
        self,
        session: Session,
        row: CandidateRow,
        active_hash: str | None,
        answers: dict[str, Answers],
        gold: Sequence[LabelledImage],
        new: Sequence[LabelledImage],
    ) -> GateVerdict:
        manifest = _manifest(session, row.bundle_hash)
        certificate = _certificate(manifest)
        passed = certificate is not None and certificate.passed
        reasons = certificate.reasons if certificate is not None else ("there is none for the default variant",)
        production = self._serves_production(session, row.site)
        if active_hash is None:
            return self._first_verdict(manifest, answers["candidate"], gold, passed, reasons, production)
        active = _manifest(session, active_hash)
        pairs = evidence.paired([*gold, *new], answers["active"], active, answers["candidate"], manifest)
        refused = session.scalars(select(RefusedRow.bundle_hash).where(RefusedRow.site == row.site))
        return judge_candidate(
            GateEvidence(
                bundle_hash=row.bundle_hash,
                good_labels=active.good_labels,
                gold=pairs[: len(gold)],
                new=pairs[len(gold) :],
                cost_escape=active.thresholds.cost_escape,
                cost_false_reject=active.thresholds.cost_false_reject,
                certificate_passed=passed,
                certificate_reasons=reasons,
                licence_production=manifest.licence.production,
                production=production,
                refused=frozenset(refused),
            ),
            self._settings.gate,
        )

    def _first_verdict(
        self,
        manifest: Manifest,
        answers: Answers,
        gold: Sequence[LabelledImage],
        passed: bool,
        reasons: tuple[str, ...],
        production: bool,
    ) -> GateVerdict:
        known = [
            (row, image.label)
            for row, image in zip(answers.probabilities, gold, strict=True)
            if row is not None and image.label in manifest.labels
        ]
        if len(known) < len(gold) or not gold:
            missing = f"{len(gold) - len(known)} of {len(gold)} gold images without an answer or of an unknown class"
            return _broken(missing)
        metrics = task_metrics(np.array([row for row, _ in known]), [label for _, label in known], manifest)
        return judge_first(
            metrics,
            certificate_passed=passed,
            certificate_reasons=reasons,
            licence_production=manifest.licence.production,
            production=production,
            least_balanced_accuracy=self._settings.rollout.first_balanced_accuracy,
        )

    def _serves_production(self, session: Session, site: str) -> bool:
        births = session.scalars(select(AgentRow.birth).where(AgentRow.site == site, AgentRow.birth.is_not(None)))
        return any(Birth.model_validate(birth).production for birth in births)

    def _leave_gate(self, session: Session, candidate_id: str, active_hash: str | None, verdict: GateVerdict) -> bool:
        row = session.get_one(CandidateRow, candidate_id)
        active = releases.active_release(session, row.site)
        if row.state != "submitted" or (active.bundle_hash if active is not None else None) != active_hash:
            return False  # the world moved on meanwhile: judge again
        row.parent_bundle = active_hash
        self._candidates.record_gate(session, row, verdict)
        if verdict.next == "none":
            self._candidates.refuse(session, row, verdict.reasons, stage="gate")
        elif active_hash is None:
            self._candidates.promote_first(session, row, verdict)
        elif self._candidates.in_shadow(session, row.site) is not None:
            row.state = "queued"
        else:
            self._candidates.begin_shadow(session, row)
        return True

    def _leave_queue(self, candidate_id: str) -> bool:
        """The shadow's place is taken by one candidate at a time."""
        with self._store.write() as session:
            row = session.get_one(CandidateRow, candidate_id)
            if row.state != "queued" or self._candidates.in_shadow(session, row.site) is not None:
                return False
            active = releases.active_release(session, row.site)
            if active is not None and active.bundle_hash == row.parent_bundle:
                self._candidates.begin_shadow(session, row)
            else:
                row.state = "submitted"  # what it was compared with is no longer served
            return True

    # --- the shadow

    def _judge_in_shadow(self, candidate_id: str) -> bool:
        with self._store.read() as session:
            row = session.get_one(CandidateRow, candidate_id)
            seen, at = self._shadow_evidence(session, row)
        verdict = judge_shadow(seen, at, self._settings.shadow)
        if verdict.verdict is Promotion.PROMOTE and (fresh := self._answer_new_labels(row)):
            verdict = judge_shadow(seen.model_copy(update={"labelled": fresh}), at, self._settings.shadow)
        with self._store.write() as session:
            row = session.get_one(CandidateRow, candidate_id)
            if row.state not in ("shadowing", "approving"):
                return False
            return self._act_on_shadow(session, row, verdict)

    def _shadow_evidence(self, session: Session, row: CandidateRow) -> tuple[ShadowEvidence, datetime]:
        shadow = row.shadow or {}
        active = releases.active_release(session, row.site)
        good = _manifest(session, active.bundle_hash if active else row.bundle_hash).good_labels
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
        if waited.total_seconds() > self._settings.rollout.replay_wait_seconds:
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
        images = evidence.gate_images(rows, self._blobs, self._scratch / "images")
        try:
            answers = self._answers(row.candidate_id, row.bundle_hash, active.bundle_hash, images)
        except BundleError as error:
            _log.error("labels of the shadow cannot be evaluated: %s", error)
            return ()
        with self._store.write() as session:
            before, after = _manifest(session, active.bundle_hash), _manifest(session, row.bundle_hash)
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
            self._settings.rollout.approval_for(row.site, row.product),
            GateVerdict.model_validate(row.gate),
            verdict,
            approved_by=[word["by"] for word in row.approvals if word["approved"]],
            rejected_by=[word["by"] for word in row.approvals if not word["approved"]],
        )
        before = row.state
        if said.verdict is Approval.STOP:
            self._candidates.refuse(session, row, [said.reason], stage="person")
        elif said.verdict is Approval.GO:
            self._candidates.promote(session, row, verdict.reasons[0])
        elif said.verdict is Approval.WAIT_FOR_PEOPLE:
            self._candidates.wait_for_people(session, row, said.reason)
        return row.state != before


def _broken(why: str) -> GateVerdict:
    reason = Reason(code="candidate.cannot-answer", parameters={"why": why})
    return GateVerdict.model_validate({"verdict": "REFUSE", "next": "none", "reasons": [reason], "differences": []})


def _manifest(session: Session, bundle_hash: str) -> Manifest:
    return Manifest.model_validate(session.get_one(BundleRow, bundle_hash).manifest)


def _certificate(manifest: Manifest) -> Certificate | None:
    return next((one for one in manifest.certificates if one.variant == manifest.default_variant), None)
