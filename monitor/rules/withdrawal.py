"""Is the served release wrong on the line? Audit labels and operators' overrides since it was activated may prove it.

Audit labels are random draws and feed the same e-processes as an incident's labels. Overrides are found by looking, so
they feed a process of their own in which every inspected part that nobody overrode counts as right: people miss errors
but hardly invent them. What they do invent is a share of what they *say* (the label noise), not of all parts: silence
is no statement. So the process can only under-state the error rate, and an e-process fed with fewer errors than there
are stays valid. An override waits for the window that counts its part, and then counts once as right and once as
wrong, which under-states again.

A release on probation has a predecessor to go back to, which makes an error cheap and delay dear: it is withdrawn at
`withdrawal_proof`. Four processes look at it (escapes, false rejects, their product, overrides), so that of the
releases that keep their promise at most 5 in 100 are withdrawn at the default of 80, however long one looks.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from contracts.frame import Decision, OutcomeSource
from contracts.names import Moment
from drift.eprocess import EProcess
from monitor.rules.evidence import Evidence, counted, harms, no_evidence
from monitor.rules.facts import BundleFacts
from monitor.rules.happening import LabelSeen
from monitor.rules.reason import Reason, because
from monitor.rules.settings import RuleSettings


class Watch(BaseModel):
    """Evidence against one release; a value. `acted` is set once something was done about it."""

    model_config = ConfigDict(frozen=True)

    evidence: Evidence
    overrides: EProcess
    pending: dict[str, tuple[Moment, ...]] = Field(default={}, description="overrides whose window has not come yet")
    acted: bool = False


def watch_of(facts: BundleFacts, settings: RuleSettings) -> Watch:
    """Nothing known yet against a release. Overrides tolerate the error over all parts at the certified mix, and the
    invented ones that come with so many true ones."""
    share = facts.defect_share
    overall = share * facts.escapes_tolerated + (1.0 - share) * facts.false_rejects_tolerated
    tolerated = min(overall / (1.0 - settings.label_noise), 0.95)
    return Watch(evidence=no_evidence(facts, settings), overrides=EProcess(tolerated=tolerated, proof=settings.proof))


def inspected(watch: Watch, camera: str, parts: int, until: Moment, *, late: bool = False) -> Watch:
    """After a window of `parts` verdicts that ended at `until`: its parts count as right, then its overrides as
    wrong. Overrides that came `late` wait for windows that do: newer ones say nothing of their parts."""
    overrides = watch.overrides.update(False, times=parts)
    camera = _queue(camera, late)
    waiting = watch.pending.get(camera, ())
    covered = sum(moment <= until for moment in waiting)
    if covered:
        overrides = overrides.update(True, times=covered)
    pending = {**watch.pending, camera: tuple(moment for moment in waiting if moment > until)}
    return watch.model_copy(update={"overrides": overrides, "pending": pending})


def labelled(watch: Watch, label: LabelSeen, facts: BundleFacts, settings: RuleSettings) -> Watch:
    """After a label or an override of a part that this release decided."""
    changes: dict[str, object] = {"evidence": counted(watch.evidence, label, facts, settings)}
    expected = Decision.NG if facts.side(label.label) == "defect" else Decision.OK
    wrong = label.decision in (Decision.OK, Decision.NG) and label.decision is not expected
    if label.source is OutcomeSource.OPERATOR and wrong:
        queue = _queue(label.camera, label.late)
        waiting = (*watch.pending.get(queue, ()), label.triggered_at)
        changes["pending"] = {**watch.pending, queue: waiting}
    return watch.model_copy(update=changes)


def _queue(camera: str, late: bool) -> str:
    return f"{camera} late" if late else camera


def proven(watch: Watch, settings: RuleSettings, *, young: bool = False) -> list[Reason]:
    """Everything proven against the release; empty while nothing is. Against a `young` one less is proof enough."""
    proof = settings.withdrawal_proof if young else settings.proof
    reasons = harms(watch.evidence, settings, proof=proof)
    process = watch.overrides
    if process.reached(proof):
        reasons.append(
            because("harm-overrides", wrong=process.wrong, parts=process.labels, tolerated=process.tolerated)
        )
    return reasons


def on_probation(facts: BundleFacts, at_seconds_since_activation: float, settings: RuleSettings) -> bool:
    """Whether the release is young enough, and has a predecessor, to be withdrawn without asking. Later harm is the
    world's doing rather than the release's, and opens an incident instead."""
    return facts.previous is not None and at_seconds_since_activation <= settings.probation_days * 86400
