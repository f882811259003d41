"""The incident's way once cameras lead it: from labels to harm, from harm to a retrain, and back when that fails.

`advance` is called after everything that happens; it does what is due and nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from contracts.names import Moment
from monitor.rules.action import Action, AskPerson, HoldRetrain, Images, Kind, OfferAdoption, OrderRetrain, Phase
from monitor.rules.evidence import compatible_error, failed_sides, harms, labels_of_side
from monitor.rules.facts import BundleFacts
from monitor.rules.governor import GovernorVerdict, Jobs, RetrainWish, Ruling, govern
from monitor.rules.happening import CandidateMoved
from monitor.rules.incident import Incident, Next, ask, in_phase, told_unsafe
from monitor.rules.reason import Reason, because
from monitor.rules.settings import RuleSettings

_LEAST_SHARE = 0.05  # of a side among the labels, when asking for enough of it
_STANDS_STILL = {
    Phase.SENSOR: "waits-sensor",
    Phase.PRIOR: "waits-prior",
    Phase.LABELS: "waits-labels",
    Phase.HARMLESS: "waits-harmless",
    Phase.HARMFUL: "waits-harmful",
    Phase.RETRAIN: "waits-retrain",
    Phase.SHADOW: "waits-shadow",
}
_ASKED_AT_MOST = 5  # times the usual number of random labels, in one incident


def advance(
    incident: Incident,
    at: Moment,
    facts: BundleFacts,
    attempts: Sequence[Moment],
    settings: RuleSettings,
    *,
    jobs: Jobs,
) -> Next:
    """The incident after doing what is due at `at`."""
    incident, actions = _answer(incident, at, facts, attempts, settings, jobs)
    incident, more = _impatient(incident, at, settings)
    return incident, [*actions, *more]


def _impatient(incident: Incident, at: Moment, settings: RuleSettings) -> Next:
    """No incident waits for ever: one that stands still asks a person, again and again."""
    since = max(incident.phase_since, incident.person_asked_at or incident.phase_since)
    if incident.phase not in _STANDS_STILL or at - since < timedelta(hours=settings.person_hours):
        return incident, []
    hours = round((at - incident.phase_since).total_seconds() / 3600)
    reason = because(_STANDS_STILL[incident.phase], hours=hours)
    incident = incident.model_copy(update={"person_asked_at": at})
    return incident, [AskPerson(incident_id=incident.incident_id, reason=reason)]


def _answer(
    incident: Incident,
    at: Moment,
    facts: BundleFacts,
    attempts: Sequence[Moment],
    settings: RuleSettings,
    jobs: Jobs,
) -> Next:
    actions: list[Action] = []
    if incident.phase in (Phase.PRIOR, Phase.LABELS, Phase.HARMLESS):
        incident, actions = _judge_harm(incident, at, settings)
    if incident.phase is Phase.HARMFUL:
        incident, more = _seek_retrain(incident, at, facts, attempts, settings, jobs)
        return incident, [*actions, *more]
    if incident.under_way:
        return _watch_job(incident, at, settings)
    return incident, actions


def _judge_harm(incident: Incident, at: Moment, settings: RuleSettings) -> Next:
    proofs = harms(incident.evidence, settings)
    if proofs:
        return harmful(incident, at, proofs)
    if incident.phase is not Phase.LABELS:
        return incident, []
    if incident.evidence.random >= settings.random_labels:
        low, high = compatible_error(incident.evidence)
        reason = because("harmless", labels=incident.evidence.random, low=low, high=high)
        incident, actions = in_phase(incident, Phase.HARMLESS, at, reason)
        return incident, [*actions, OfferAdoption(incident_id=incident.incident_id, reason=reason)]
    return _ask_again(incident, settings.random_labels - incident.evidence.random, at, settings)


def harmful(incident: Incident, at: Moment, proofs: Sequence[Reason]) -> Next:
    """The incident once harm is proven. PRIOR cameras turn out to be the product's: their verdicts are wrong."""
    cameras = {name: Kind.PRODUCT if kind is Kind.PRIOR else kind for name, kind in incident.cameras.items()}
    incident = incident.model_copy(update={"cameras": cameras})
    incident, actions = in_phase(incident, Phase.HARMFUL, at, proofs[0])
    incident, more = told_unsafe(incident, incident.leading, proofs[0])
    return incident, [*actions, *more]


def _seek_retrain(
    incident: Incident,
    at: Moment,
    facts: BundleFacts,
    attempts: Sequence[Moment],
    settings: RuleSettings,
    jobs: Jobs,
) -> Next:
    verdict = govern(_wish(incident, facts, settings), attempts, at, settings, jobs)
    if verdict.ruling is Ruling.GO:
        return ordered(incident, at, verdict.reasons[0])
    incident, actions = _hold(incident, verdict, at)
    incident, more = _ask_for_lacking(incident, verdict, at, facts, settings)
    return incident, [*actions, *more]


def _wish(incident: Incident, facts: BundleFacts, settings: RuleSettings) -> RetrainWish:
    labels = incident.evidence.labels
    before = incident.labels_at_attempt
    return RetrainWish(
        labels=labels,
        labels_per_side=labels_of_side(incident.evidence, facts),
        affected_sides=failed_sides(incident.evidence, settings),
        doubtful=incident.doubtful,
        labels_since_attempt=None if before is None else labels - before,
    )


def ordered(incident: Incident, at: Moment, reason: Reason) -> Next:
    """The incident once a retrain was ordered."""
    order = OrderRetrain(incident_id=incident.incident_id, parent_bundle=incident.bundle_hash, reason=reason)
    changes = {
        "held": (),
        "person_asked": False,
        "candidate": None,
        "labels_at_attempt": incident.evidence.labels,
    }
    incident, actions = in_phase(incident.model_copy(update=changes), Phase.RETRAIN, at, reason)
    return incident, [*actions, order]


def _hold(incident: Incident, verdict: GovernorVerdict, at: Moment) -> Next:
    """Record each reason of a refusal once per attempt; ask a person once."""
    new = [reason for reason in verdict.reasons if reason.code not in incident.held]
    actions: list[Action] = [
        HoldRetrain(incident_id=incident.incident_id, until=verdict.until, reason=reason) for reason in new
    ]
    incident = incident.model_copy(update={"held": (*incident.held, *(reason.code for reason in new))})
    if verdict.ruling is Ruling.PERSON and not incident.person_asked:
        actions.append(AskPerson(incident_id=incident.incident_id, reason=verdict.reasons[0]))
        incident = incident.model_copy(update={"person_asked": True, "person_asked_at": at})
    return incident, actions


def _ask_for_lacking(
    incident: Incident, verdict: GovernorVerdict, at: Moment, facts: BundleFacts, settings: RuleSettings
) -> Next:
    """Ask for the labels that the governor misses, as many random ones as the missing side's share calls for."""
    if not verdict.lacking:
        return incident, []
    sides = labels_of_side(incident.evidence, facts)
    total = max(incident.evidence.labels, 1)
    needs = [
        missing if side == "any" else round(missing / max(sides.get(side, 0) / total, _LEAST_SHARE))
        for side, missing in verdict.lacking.items()
    ]
    return _ask_again(incident, max(needs), at, settings)


def _ask_again(incident: Incident, needed: int, at: Moment, settings: RuleSettings) -> Next:
    """Ask for random images until `needed` labels are on their way, and again when those on their way are overdue."""
    overdue = incident.asked_at is None or at - incident.asked_at > timedelta(days=settings.label_days)
    outstanding = 0 if overdue else max(incident.asked - incident.evidence.labels, 0)
    if outstanding >= needed:
        return incident, []
    left = _ASKED_AT_MOST * settings.random_labels + settings.atypical_labels + settings.unsure_labels - incident.asked
    if left > 0:
        more = min(needed - outstanding, left)
        return ask(incident, Images(random=more), at, because("labels-missing", missing=needed, more=more))
    if not overdue or incident.person_asked:
        return incident, []
    reason = because("labels-do-not-come", asked=incident.asked, labels=incident.evidence.labels)
    return incident.model_copy(update={"person_asked": True, "person_asked_at": at}), [
        AskPerson(incident_id=incident.incident_id, reason=reason)
    ]


def _watch_job(incident: Incident, at: Moment, settings: RuleSettings) -> Next:
    hours = settings.job_hours if incident.phase is Phase.RETRAIN else settings.shadow_hours
    if at - incident.phase_since <= timedelta(hours=hours):
        return incident, []
    code = "job-silent" if incident.phase is Phase.RETRAIN else "shadow-silent"
    return in_phase(incident, Phase.HARMFUL, at, because(code, hours=hours))


def candidate_moved(incident: Incident, news: CandidateMoved) -> Next:
    """The incident after news of its retrain. News that do not fit its phase change nothing."""
    if incident.phase not in (Phase.HARMFUL, Phase.RETRAIN, Phase.SHADOW):
        return incident, []
    if news.stage in ("refused", "failed"):
        if incident.phase is Phase.HARMFUL:
            return incident, []
        return in_phase(incident.model_copy(update={"candidate": None}), Phase.HARMFUL, news.at, news.reason)
    phase = Phase.RETRAIN if news.stage == "training" else Phase.SHADOW
    if phase is incident.phase and news.bundle_hash == incident.candidate:
        return incident, []
    return in_phase(
        incident.model_copy(update={"candidate": news.bundle_hash or incident.candidate}), phase, news.at, news.reason
    )
