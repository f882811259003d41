"""May a shadow be promoted? Evidence from the replay of buffered images and from windows in which both bundles ran."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from contracts.frame import Decision
from contracts.names import Label, Moment
from contracts.settings import Settings
from drift.quantile import clopper_pearson
from monitor.rules.paired import PairedPart, balanced, compare
from monitor.rules.reason import Reason, because


class ShadowSettings(Settings):
    """What a shadow must show."""

    images: int = Field(default=500, ge=1, description="answered beside the active bundle, in windows")
    replay_images: int = Field(default=100, ge=0)
    failure_share: float = Field(default=0.0, ge=0, lt=1, description="images it may leave unanswered")
    latency_factor: float = Field(default=3.0, gt=0, description="of the active bundle's mean latency")
    latency_floor_seconds: float = Field(default=0.02, ge=0, description="a mean below it is never too slow")
    latency_budget_seconds: float | None = Field(default=None, gt=0, description="instead of the factor")
    reject_labels: int = Field(default=20, ge=1, description="random labels before the share of rejects is judged")
    reject_slack: float = Field(default=0.1, ge=0, le=1, description="beyond the interval of the defect share")
    level: float = Field(default=0.05, gt=0, lt=0.5)
    hours: float = Field(default=72.0, gt=0, description="no decision after this long: refused")


class ShadowEvidence(BaseModel):
    """Sums since the shadow started. `decisions` and `latency_seconds_sum` of both bundles are over the same images."""

    model_config = ConfigDict(frozen=True)

    started_at: Moment
    good_labels: tuple[Label, ...]
    replay_finished: bool
    replay_images: int = 0
    replay_failures: int = 0
    images: int = 0
    failures: int = 0
    active_decisions: dict[Decision, int] = {}
    shadow_decisions: dict[Decision, int] = {}
    active_latency_seconds_sum: float = 0.0
    shadow_latency_seconds_sum: float = 0.0
    active_images: int = 0
    labelled: tuple[PairedPart, ...] = Field(default=(), description="parts labelled for the gate, both answered")
    random_defects: int = Field(default=0, description="defective among the random labels of the present state")
    random_labels: int = 0


class Promotion(StrEnum):
    """What to do with the shadow."""

    PROMOTE = "PROMOTE"
    WAIT = "WAIT"
    REFUSE = "REFUSE"


class ShadowVerdict(BaseModel):
    """The answer with every reason for it."""

    model_config = ConfigDict(frozen=True)

    verdict: Promotion
    reasons: tuple[Reason, ...]


def judge_shadow(evidence: ShadowEvidence, at: Moment, settings: ShadowSettings) -> ShadowVerdict:
    """PROMOTE, WAIT or REFUSE. Nothing is promoted that failed, is too slow or rejects implausibly often."""
    against = [*_failures(evidence, settings), *_labels(evidence, settings)]
    if evidence.images >= settings.images:
        against += [*_latency(evidence, settings), *_rejects(evidence, settings)]
    if against:
        return ShadowVerdict(verdict=Promotion.REFUSE, reasons=tuple(against))
    missing = _missing(evidence, settings)
    if missing and (at - evidence.started_at).total_seconds() > settings.hours * 3600:
        return ShadowVerdict(
            verdict=Promotion.REFUSE, reasons=(because("shadow-timeout", hours=settings.hours), *missing)
        )
    if missing:
        return ShadowVerdict(verdict=Promotion.WAIT, reasons=tuple(missing))
    reason = because("shadow-passed", images=evidence.images, replayed=evidence.replay_images)
    return ShadowVerdict(verdict=Promotion.PROMOTE, reasons=(reason,))


def _failures(evidence: ShadowEvidence, settings: ShadowSettings) -> list[Reason]:
    failed, images = evidence.failures + evidence.replay_failures, evidence.images + evidence.replay_images
    if failed > settings.failure_share * images:
        return [because("shadow-failures", failures=failed, images=images)]
    return []


def _labels(evidence: ShadowEvidence, settings: ShadowSettings) -> list[Reason]:
    found = compare("labelled", evidence.labelled, evidence.good_labels)
    if balanced(evidence.labelled, evidence.good_labels).p_worse <= settings.level:
        return [because("shadow-labels-worse", gained=found.gained, lost=found.lost, parts=found.parts)]
    return []


def _latency(evidence: ShadowEvidence, settings: ShadowSettings) -> list[Reason]:
    mean = evidence.shadow_latency_seconds_sum / evidence.images
    budget = settings.latency_budget_seconds
    if budget is None:
        if evidence.active_images == 0 or evidence.active_latency_seconds_sum <= 0.0:
            return []
        factor = settings.latency_factor * evidence.active_latency_seconds_sum / evidence.active_images
        budget = max(factor, settings.latency_floor_seconds)
    return [because("shadow-slow", mean_seconds=mean, budget_seconds=budget)] if mean > budget else []


def reject_share(decisions: Mapping[Decision, int]) -> float | None:
    """NG and REVIEW among all answers; None without answers."""
    answers = sum(decisions.get(decision, 0) for decision in (Decision.OK, Decision.NG, Decision.REVIEW))
    rejects = decisions.get(Decision.NG, 0) + decisions.get(Decision.REVIEW, 0)
    return rejects / answers if answers else None


def _rejects(evidence: ShadowEvidence, settings: ShadowSettings) -> list[Reason]:
    """The share it rejects must be plausible given how many random labels are defects: a model that passes everything
    or rejects everything is wrong whatever its paired labels say."""
    share = reject_share(evidence.shadow_decisions)
    if share is None or evidence.random_labels < settings.reject_labels:
        return []
    low, high = clopper_pearson(evidence.random_defects, evidence.random_labels)
    if low - settings.reject_slack <= share <= high + settings.reject_slack:
        return []
    return [because("shadow-reject-share", share=share, low=low, high=high)]


def _missing(evidence: ShadowEvidence, settings: ShadowSettings) -> list[Reason]:
    missing = []
    if not evidence.replay_finished and settings.replay_images:
        missing.append(because("shadow-replay-running"))
    if evidence.images < settings.images:
        missing.append(because("shadow-few-images", images=evidence.images, needed=settings.images))
    return missing
