"""Is the served release wrong on the line? Audit labels and operators' overrides since it was activated may prove it.

Audit labels are random draws and feed the same e-processes as an incident's labels. Overrides are found by looking, so
they feed a process of their own in which every inspected part that nobody overrode counts as right: people miss errors
but hardly invent them. What they do invent is a share of what they *say* (the label noise), not of all parts: silence
is no statement. So the process can only under-state the error rate, and an e-process fed with fewer errors than there
are stays valid. An override waits for the window that counts its part, and then counts once as right and once as
wrong, which under-states again.

A release on probation has a predecessor to go back to, which makes an error cheap and delay dear: it is withdrawn once
the evidence, taken together, is worth `withdrawal_proof`. Five processes look at it: escapes, false rejects, their
product, overrides, and the random labels of both sides against the worse of the two tolerated errors, which holds
whatever share of the parts is defective and so needs no guess of it. Four of them watch the same labels come one after
another, so that their mean is an e-process too, however they depend on each other (Vovk and Wang 2021, "E-values:
calibration, combination and applications", Annals of Statistics 49). The mean of all five is one as far as overrides
tell nothing of labels to come, nor labels of overrides: by Ville's inequality at most 5 in 100 releases that keep their
promise are then withdrawn at the default of 20, however long one looks. Of a part that is both drawn and overridden the
one does tell the other. Whatever they tell, at most 9 in 100 are withdrawn: for a mean of 20 the four must have come to
16.7, with a chance of 6 in 100, or the overrides to 33.3, with one of 3 in 100. A class that the model does not know is
no matter of chance and stands outside: enough parts of it withdraw by themselves.
"""

from __future__ import annotations

from math import exp, log

from pydantic import BaseModel, ConfigDict, Field

from contracts.frame import RANDOM_SOURCES, Decision, OutcomeSource
from contracts.names import Moment
from drift.eprocess import EProcess
from monitor.rules.evidence import Evidence, counted, harm_of, harms, new_classes, no_evidence
from monitor.rules.facts import BundleFacts
from monitor.rules.happening import LabelSeen
from monitor.rules.reason import Reason, because
from monitor.rules.settings import RuleSettings


class Watch(BaseModel):
    """Evidence against one release; a value. `acted` is set once something was done about it."""

    model_config = ConfigDict(frozen=True)

    evidence: Evidence
    overrides: EProcess
    either_side: EProcess | None = Field(default=None, description="random labels of both sides; None before the first")
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
    if label.source in RANDOM_SOURCES and label.decision is not Decision.NO_VERDICT:
        changes["either_side"] = (watch.either_side or _either_side(facts, settings)).update(wrong)
    if label.source is OutcomeSource.OPERATOR and wrong:
        queue = _queue(label.camera, label.late)
        waiting = (*watch.pending.get(queue, ()), label.triggered_at)
        changes["pending"] = {**watch.pending, queue: waiting}
    return watch.model_copy(update=changes)


def _either_side(facts: BundleFacts, settings: RuleSettings) -> EProcess:
    """A label says "wrong" of a wrong verdict unless it is wrong itself, and of a right one where it is. That is most
    frequent where all parts are of the side that tolerates more."""
    worse, noise = max(facts.escapes_tolerated, facts.false_rejects_tolerated), settings.label_noise
    return EProcess(tolerated=worse * (1.0 - noise) + (1.0 - worse) * noise, proof=settings.proof)


def _queue(camera: str, late: bool) -> str:
    return f"{camera} late" if late else camera


def proven(watch: Watch, settings: RuleSettings, *, young: bool = False) -> list[Reason]:
    """Everything proven against the release; empty while nothing is. Against a `young` one less is proof enough, and
    all evidence counts together."""
    if young:
        return _proven_together(watch, settings)
    reasons = harms(watch.evidence, settings)
    if watch.overrides.drift_detected:
        reasons.append(_overridden(watch))
    return reasons


def _proven_together(watch: Watch, settings: RuleSettings) -> list[Reason]:
    """What weighs most, once the mean of all is proof; and classes that the model does not know."""
    escapes, false_rejects, overrides = watch.evidence.escapes, watch.evidence.false_rejects, watch.overrides
    both = because("harm-both", wrong=watch.evidence.wrong, labels=watch.evidence.random)
    found = [
        (escapes.log_e_value, harm_of("harm-escapes", escapes)),
        (false_rejects.log_e_value, harm_of("harm-false-rejects", false_rejects)),
        (escapes.log_e_value + false_rejects.log_e_value, both),
        (watch.either_side.log_e_value if watch.either_side else 0.0, both),
        (overrides.log_e_value, _overridden(watch)),
    ]
    heaviest, reason = max(found, key=lambda each: each[0])
    mean = heaviest + log(sum(exp(value - heaviest) for value, _ in found) / len(found))
    return [*([reason] if mean >= log(settings.withdrawal_proof) else []), *new_classes(watch.evidence, settings)]


def _overridden(watch: Watch) -> Reason:
    process = watch.overrides
    return because("harm-overrides", wrong=process.wrong, parts=process.labels, tolerated=process.tolerated)


def on_probation(facts: BundleFacts, at_seconds_since_activation: float, settings: RuleSettings) -> bool:
    """Whether the release is young enough, and has a predecessor, to be withdrawn without asking. Later harm is the
    world's doing rather than the release's, and opens an incident instead."""
    return facts.previous is not None and at_seconds_since_activation <= settings.probation_days * 86400
