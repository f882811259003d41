"""Reasons to retrain that no incident brings: a schedule, enough new data, an accuracy that audit labels show falling,
a person. They go through the same governor as proven harm, and wait and are refused like it.

The accuracy test allows each true class the error that its certificate has plus `accuracy_drop`, so that another mix
of parts alone is no drop; its proof is lower than that of harm, because a retrain has to pass the gate anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from contracts.frame import PICKED_SOURCES, RANDOM_SOURCES, Decision, OutcomeSource
from contracts.names import Moment
from drift.eprocess import EProcess
from monitor.rules.action import HoldRetrain, OrderRetrain
from monitor.rules.facts import BundleFacts
from monitor.rules.governor import RetrainWish, Ruling, govern
from monitor.rules.happening import LabelSeen, RetrainAsked
from monitor.rules.reason import Reason, because
from monitor.rules.settings import RuleSettings
from monitor.rules.turn import Since, Turn

_WITH_PICTURE = RANDOM_SOURCES.union(PICKED_SOURCES)


def since_release(since: Since | None, at: Moment) -> Since:
    """Another release serves: what is known of its accuracy starts anew."""
    return (since or Since(at=at)).model_copy(update={"audit": None})


def _no_drop_yet(settings: RuleSettings) -> EProcess | None:
    drop = settings.accuracy_drop
    return None if drop is None else EProcess(tolerated=drop, proof=settings.accuracy_proof)


def after_label(since: Since, label: LabelSeen, facts: BundleFacts | None, settings: RuleSettings) -> Since:
    """One more label; only those with a picture can be learned from, and only random draws tell the accuracy."""
    if label.source not in _WITH_PICTURE:
        return since
    audit = since.audit or _no_drop_yet(settings)
    if audit is not None and facts is not None and label.bundle_hash == facts.bundle_hash:
        audit = _audited(audit, label, facts, settings)
    return since.model_copy(update={"labels": since.labels + 1, "audit": audit})


def _audited(audit: EProcess, label: LabelSeen, facts: BundleFacts, settings: RuleSettings) -> EProcess:
    if label.source is not OutcomeSource.AUDIT or label.decision is Decision.NO_VERDICT:
        return audit
    side = facts.side(label.label)
    certified = certified_error(facts, side)
    if certified is None:
        return audit
    wrong = label.decision is (Decision.OK if side == "defect" else Decision.NG)
    allowed = certified + (settings.accuracy_drop or 0.0) + settings.label_noise
    return audit.update(wrong, tolerated=min(allowed, 0.95))


def certified_error(facts: BundleFacts, side: str) -> float | None:
    """Share of a side's certified parts that were taken for the other side; None where there were none."""
    wrong = total = 0
    for true, predicted in facts.confusion.items():
        if facts.side(true) == side:
            total += sum(predicted.values())
            wrong += sum(count for label, count in predicted.items() if facts.side(label) != side)
    return wrong / total if total else None


def due(since: Since, at: Moment, settings: RuleSettings) -> list[Reason]:
    """Which triggers call for a retrain now."""
    found = []
    if settings.retrain_days is not None and at - since.at >= timedelta(days=settings.retrain_days):
        found.append(because("trigger-schedule", days=settings.retrain_days))
    if settings.retrain_on_labels is not None and since.labels >= settings.retrain_on_labels:
        found.append(because("trigger-new-data", labels=since.labels, needed=settings.retrain_on_labels))
    audit = since.audit
    if audit is not None and audit.drift_detected:
        found.append(because("trigger-accuracy", wrong=audit.wrong, labels=audit.labels, drop=settings.accuracy_drop))
    return found


def seek(turn: Turn, since: Since) -> None:
    """Ask the governor where a trigger is due. An open incident goes first: it orders its own retrain, or there is a
    camera to be cleaned, whose pictures nobody should learn from."""
    reasons = due(since, turn.at, turn.settings)
    incident = turn.state.incident
    if reasons and incident is not None:
        _hold(turn, since, reasons[0], [because("governor-incident", incident=incident.incident_id)], None)
    elif reasons:
        _ask(turn, since, reasons[0], RetrainWish(labels=since.labels, labels_per_side={}, affected_sides=()))


def by_hand(turn: Turn, asked: RetrainAsked) -> None:
    """A person wants a retrain of the served model."""
    since = turn.state.since or Since(at=turn.at)
    wish = RetrainWish(labels=since.labels, labels_per_side={}, affected_sides=(), by_hand=True)
    reason = because("trigger-hand", who=asked.who, why=asked.why)
    _ask(turn, since.model_copy(update={"held": ()}), reason, wish)


def _ask(turn: Turn, since: Since, trigger: Reason, wish: RetrainWish) -> None:
    facts = turn.state.facts
    if facts is None:
        turn.actions.append(HoldRetrain(incident_id=None, until=None, reason=because("governor-no-release")))
        return
    verdict = govern(wish, turn.state.attempts, turn.at, turn.settings, turn.jobs)
    if verdict.ruling is Ruling.GO:
        turn.actions.append(OrderRetrain(incident_id=None, parent_bundle=facts.bundle_hash, reason=trigger))
        return
    _hold(turn, since, trigger, verdict.reasons, verdict.until)


def _hold(turn: Turn, since: Since, trigger: Reason, reasons: Sequence[Reason], until: Moment | None) -> None:
    """Record each reason of a refusal once."""
    new = [reason for reason in reasons if reason.code not in since.held]
    turn.actions += [HoldRetrain(incident_id=None, until=until, reason=_because_of(trigger, why)) for why in new]
    held = (*since.held, *(reason.code for reason in new))
    turn.set(since=since.model_copy(update={"held": held}))


def _because_of(trigger: Reason, refusal: Reason) -> Reason:
    return because("trigger-held", trigger=trigger.plain, why=refusal.plain)


def ordered(turn: Turn) -> None:
    """A retrain was ordered, whoever wanted it: counting starts anew."""
    turn.set(
        attempts=(*turn.state.attempts, turn.at)[-20:],
        since=Since(at=turn.at),
    )
