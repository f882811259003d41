"""A candidate at the gate: evaluated beside the active bundle, judged, sent on or refused.

The evaluation runs outside transactions; its verdict is only used when the candidate still stands where it stood, so a
kill at any point repeats work and doubles nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts.bundle import Manifest
from contracts.certificate import Certificate
from contracts.errors import BundleError, ConfigurationError
from contracts.telemetry import Birth
from monitor import evidence, releases
from monitor.candidates import Candidates
from monitor.comparing import Comparing, manifest_of
from monitor.evaluation import Answers, LabelledImage
from monitor.first_release import judge_first
from monitor.rules.facts import facts_of
from monitor.rules.gate import GateEvidence, GateSettings, GateVerdict, judge_candidate
from monitor.rules.reason import Reason
from monitor.rules.settings import RuleSettings
from monitor.signed_thresholds import as_served
from monitor.store.database import Store
from monitor.store.rollout_tables import CandidateRow, RefusedRow
from monitor.store.telemetry_tables import AgentRow
from runtime.metrics import task_metrics


class Gate:
    """`judge` takes a submitted candidate, `leave_queue` one that waits for its turn in the shadow."""

    def __init__(
        self,
        store: Store,
        candidates: Candidates,
        comparing: Comparing,
        settings: GateSettings,
        rules_of: Callable[[str], RuleSettings],
        *,
        first_balanced_accuracy: float,
    ) -> None:
        self._store, self._candidates, self._comparing = store, candidates, comparing
        self._settings, self._rules_of = settings, rules_of
        self._first_balanced_accuracy = first_balanced_accuracy

    def judge(self, candidate_id: str) -> bool:
        """Evaluate and decide; True when the candidate moved on. Raises LinkError where that must wait."""
        with self._store.read() as session:
            row = session.get_one(CandidateRow, candidate_id)
            active = releases.active_release(session, row.site)
            period = evidence.period_of(session, row)
            gold = evidence.gold_images(session, row.site, self._comparing.blobs, self._comparing.image_folder)
            gate_rows = evidence.gate_labels(session, row.site, period) if active is not None else []
            manifest = manifest_of(session, row.bundle_hash)
        new = evidence.gate_images(gate_rows, self._comparing.blobs, self._comparing.image_folder)
        active_hash = active.bundle_hash if active is not None else None
        try:
            self._check_promises(manifest, row.bundle_hash)
            answers = self._comparing.answers(row.candidate_id, row.bundle_hash, active_hash, [*gold, *new])
        except (BundleError, ConfigurationError) as error:
            verdict = _broken(str(error))
        else:
            with self._store.read() as session:
                verdict = self._gate_verdict(session, row, active_hash, answers, gold, new)
        with self._store.write() as session:
            return self._leave_gate(session, candidate_id, active_hash, verdict)

    def _check_promises(self, manifest: Manifest, bundle_hash: str) -> None:
        """What the rules need to know of a release must be in it. Raises ConfigurationError."""
        rules = self._rules_of(manifest.site)
        facts_of(manifest, bundle_hash, number=1, activated_at=datetime.now(UTC), previous=None, settings=rules)

    def _gate_verdict(
        self,
        session: Session,
        row: CandidateRow,
        active_hash: str | None,
        answers: dict[str, Answers],
        gold: Sequence[LabelledImage],
        new: Sequence[LabelledImage],
    ) -> GateVerdict:
        manifest = manifest_of(session, row.bundle_hash)
        certificate = _certificate(manifest)
        passed = certificate is not None and certificate.passed
        reasons = certificate.reasons if certificate is not None else ("there is none for the default variant",)
        production = self._serves_production(session, row.site)
        if active_hash is None:
            return self._first_verdict(manifest, answers["candidate"], gold, passed, reasons, production)
        active = as_served(session, row.site, active_hash, manifest_of(session, active_hash))
        pairs = evidence.paired([*gold, *new], answers["active"], active, answers["candidate"], manifest)
        cost_escape, cost_false_reject = active.thresholds.recall_weights
        refused = session.scalars(select(RefusedRow.bundle_hash).where(RefusedRow.site == row.site))
        return judge_candidate(
            GateEvidence(
                bundle_hash=row.bundle_hash,
                good_labels=active.good_labels,
                gold=pairs[: len(gold)],
                new=pairs[len(gold) :],
                cost_escape=cost_escape,
                cost_false_reject=cost_false_reject,
                certificate_passed=passed,
                certificate_reasons=reasons,
                licence_production=manifest.licence.production,
                production=production,
                refused=frozenset(refused),
            ),
            self._settings,
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
            least_balanced_accuracy=self._first_balanced_accuracy,
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

    def leave_queue(self, candidate_id: str) -> bool:
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


def _broken(why: str) -> GateVerdict:
    reason = Reason(code="candidate.cannot-answer", parameters={"why": why})
    return GateVerdict.model_validate({"verdict": "REFUSE", "next": "none", "reasons": [reason], "differences": []})


def _certificate(manifest: Manifest) -> Certificate | None:
    return next((one for one in manifest.certificates if one.variant == manifest.default_variant), None)
