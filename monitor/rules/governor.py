"""May a retrain run now? Minimum evidence, cool-down, one job per model, a global cap, maintenance windows, and a
person after three retrains in seven days, or where a camera that nobody can vouch for may be what is ill. Every answer
carries all its reasons and is recorded, refusals above all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from contracts.names import Moment
from monitor.rules.diagnosis import called
from monitor.rules.reason import Reason, because
from monitor.rules.settings import RuleSettings

_COOL_DOWN = "governor-cool-down"


class RetrainWish(BaseModel):
    """What an incident brings forward. `affected_sides` are the sides (good, defect) that failed: a side is the unit
    because 200 random labels with 30 % defects of three kinds hold about 20 of each kind, so a minimum per kind could
    never be relied on."""

    model_config = ConfigDict(frozen=True)

    labels: int = Field(description="new labels of the drifted state")
    labels_per_side: dict[str, int]
    affected_sides: tuple[str, ...]
    labels_since_attempt: int | None = Field(default=None, description="None for the incident's first attempt")
    doubtful: tuple[str, ...] = Field(
        default=(), description="cameras that may be ill themselves; nobody has looked yet"
    )
    by_hand: bool = Field(default=False, description="a person's word: instead of evidence and of waiting")


class Jobs(BaseModel):
    """What trains already, which only the caller knows: retrains and candidates on their way of this model, retrains
    of all models, and the hours that this model's retrains took in the last seven days."""

    model_config = ConfigDict(frozen=True)

    here: int = 0
    everywhere: int = 0
    hours_this_week: float = 0.0


class Ruling(StrEnum):
    """The governor's answer."""

    GO = "GO"
    WAIT = "WAIT"
    PERSON = "PERSON"


class GovernorVerdict(BaseModel):
    """`until` is set when only time is missing; `lacking` says how many labels of which side are missing."""

    model_config = ConfigDict(frozen=True)

    ruling: Ruling
    reasons: tuple[Reason, ...]
    until: Moment | None = None
    lacking: dict[str, int] = {}


def govern(
    wish: RetrainWish, attempts: Sequence[Moment], at: Moment, settings: RuleSettings, jobs: Jobs
) -> GovernorVerdict:
    """Rule on a wish, given when earlier retrains of this model were ordered and what trains now. A person's word
    overrules evidence, cool-down and the count of a week, not what runs, maintenance or the compute budget."""
    lacking, evidence = _evidence(wish, settings)
    until, timing = _timing(attempts, at, settings)
    busy = _busy(jobs, settings)
    if wish.by_hand:
        lacking, evidence, timing, until = {}, [], [reason for reason in timing if reason.code != _COOL_DOWN], None
    if wish.doubtful and not settings.retrain_in_doubt and not wish.by_hand:
        reason = because("governor-doubt", cameras=called(wish.doubtful))
        return GovernorVerdict(ruling=Ruling.PERSON, reasons=(reason, *evidence), lacking=lacking)
    recent = sum(at - attempt < timedelta(days=7) for attempt in attempts)
    if recent >= settings.retrains_a_week and not jobs.here and not wish.by_hand:
        reason = because("governor-person", retrains=recent, days=7)
        return GovernorVerdict(ruling=Ruling.PERSON, reasons=(reason, *evidence), lacking=lacking)
    reasons = (*evidence, *timing, *busy)
    if reasons:
        only_time = not evidence and not busy
        return GovernorVerdict(ruling=Ruling.WAIT, reasons=reasons, until=until if only_time else None, lacking=lacking)
    reason = because("governor-go", labels=wish.labels, sides=", ".join(wish.affected_sides) or "none failed")
    return GovernorVerdict(ruling=Ruling.GO, reasons=(reason,))


def _evidence(wish: RetrainWish, settings: RuleSettings) -> tuple[dict[str, int], list[Reason]]:
    lacking: dict[str, int] = {}
    reasons = []
    if wish.labels < settings.retrain_labels:
        lacking["any"] = settings.retrain_labels - wish.labels
        reasons.append(because("governor-few-labels", labels=wish.labels, needed=settings.retrain_labels))
    for side in wish.affected_sides:
        labels = wish.labels_per_side.get(side, 0)
        if labels < settings.retrain_labels_per_side:
            lacking[side] = settings.retrain_labels_per_side - labels
            needed = settings.retrain_labels_per_side
            reasons.append(because("governor-few-of-side", side=side, labels=labels, needed=needed))
    since = wish.labels_since_attempt
    if since is not None and since < settings.retrain_labels_after_refusal:
        lacking["any"] = max(lacking.get("any", 0), settings.retrain_labels_after_refusal - since)
        needed = settings.retrain_labels_after_refusal
        reasons.append(because("governor-nothing-new", labels=since, needed=needed))
    return lacking, reasons


def _timing(attempts: Sequence[Moment], at: Moment, settings: RuleSettings) -> tuple[Moment | None, list[Reason]]:
    reasons = []
    until = None
    cool = timedelta(hours=settings.cool_down_hours)
    if attempts and at - attempts[-1] < cool:
        until = attempts[-1] + cool
        reasons.append(because(_COOL_DOWN, hours=settings.cool_down_hours, until=until.isoformat()))
    if any(span.covers(at) for span in settings.maintenance):
        reasons.append(because("governor-maintenance"))
    return until, reasons


def _busy(jobs: Jobs, settings: RuleSettings) -> list[Reason]:
    if jobs.here:
        return [because("governor-running")]
    budget = settings.compute_hours_a_week
    if budget is not None and jobs.hours_this_week >= budget:
        return [because("governor-compute", hours=jobs.hours_this_week, budget=budget)]
    if jobs.everywhere >= settings.jobs_at_once:
        return [because("governor-cap", running=jobs.everywhere, cap=settings.jobs_at_once)]
    return []
