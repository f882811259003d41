"""May a candidate go on to the shadow? Paired evidence only: both bundles answered the same parts with known labels.

On the gold set (parts of the home condition that no model was trained on) the candidate must not be inferior, for good
and defective parts apart and for every class with enough parts: the lower bound of the difference of paired proportions
(Tango 1998, "Equivalence test and confidence interval for the difference in proportions for the paired-sample design",
Statistics in Medicine 17) must lie above minus the margin. On the new, gate-labelled parts it must be better: exact
one-sided sign test of the discordant pairs (McNemar 1947). What the numbers cannot decide is UNDECIDED, never PASS: it
goes on to the shadow when nothing speaks against it, and to a person when something does.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from math import sqrt
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from contracts.frame import Decision
from contracts.names import Label, Sha256
from contracts.settings import Settings
from drift.quantile import binomial_upper_tail
from monitor.rules.reason import Reason, because

_Z_ONE_SIDED_95 = 1.6448536269514722


class GateSettings(Settings):
    """Limits of the gate."""

    margin: float = Field(default=0.03, gt=0, lt=0.5, description="loss on the gold set that is acceptable")
    level: float = Field(default=0.05, gt=0, lt=0.5, description="of the sign test on new parts")
    gold_parts: int = Field(default=20, ge=1, description="fewer gold parts of a class: that class is undecided")
    new_parts: int = Field(default=20, ge=1, description="fewer new parts: 'better' is undecided")


class PairedPart(BaseModel):
    """One part with a known label, and what both bundles decided on it."""

    model_config = ConfigDict(frozen=True)

    part_id: str
    label: Label
    active: Decision
    candidate: Decision


class GateEvidence(BaseModel):
    """All that the gate looks at. `production` says whether any agent that would get the bundle is a production one."""

    model_config = ConfigDict(frozen=True)

    bundle_hash: Sha256
    good_labels: tuple[Label, ...]
    gold: tuple[PairedPart, ...]
    new: tuple[PairedPart, ...] = Field(description="parts labelled for the gate, never trained on")
    certificate_passed: bool
    certificate_reasons: tuple[str, ...] = ()
    licence_production: bool
    production: bool
    refused: frozenset[Sha256] = frozenset()


class Verdict(StrEnum):
    """The gate's answer."""

    PASS = "PASS"  # noqa: S105  a verdict, not a password
    REFUSE = "REFUSE"
    UNDECIDED = "UNDECIDED"


class Difference(BaseModel):
    """Candidate minus active on one group of paired parts; `lower` and `upper` bound it at 95 %, each one-sided."""

    model_config = ConfigDict(frozen=True)

    group: str
    parts: int
    gained: int = Field(description="wrong before, right with the candidate")
    lost: int = Field(description="right before, wrong with the candidate")
    active_right: float | None
    candidate_right: float | None
    difference: float | None
    lower: float
    upper: float


class GateVerdict(BaseModel):
    """`next` is where the candidate goes: `none` after a refusal, `shadow` after a PASS or where only numbers are
    missing, `person` where something speaks against it without proof."""

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    next: Literal["shadow", "person", "none"]
    reasons: tuple[Reason, ...]
    differences: tuple[Difference, ...]


def judge_candidate(evidence: GateEvidence, settings: GateSettings) -> GateVerdict:
    """The gate's answer with every reason. A refusal names all that is wrong, not just the first."""
    gold = _by_group(evidence.gold, evidence.good_labels)
    differences = [compare(f"gold/{name}", parts, evidence.good_labels) for name, parts in gold.items()]
    new = compare("new", evidence.new, evidence.good_labels)
    against = _formal(evidence)
    doubts: list[Reason] = []
    missing: list[Reason] = []
    for difference in differences:
        _judge_gold(difference, settings, against, doubts, missing)
    for side in ("good", "defect"):
        if f"gold/{side}" not in {difference.group for difference in differences}:
            missing.append(because("gate-no-gold", group=side))
    _judge_new(new, settings, against, doubts, missing)
    return _answer(against, doubts, missing, (*differences, new))


def _answer(
    against: list[Reason], doubts: list[Reason], missing: list[Reason], differences: tuple[Difference, ...]
) -> GateVerdict:
    if against:
        return GateVerdict(
            verdict=Verdict.REFUSE, next="none", reasons=(*against, *doubts, *missing), differences=differences
        )
    if doubts:
        return GateVerdict(
            verdict=Verdict.UNDECIDED, next="person", reasons=(*doubts, *missing), differences=differences
        )
    if missing:
        return GateVerdict(verdict=Verdict.UNDECIDED, next="shadow", reasons=tuple(missing), differences=differences)
    new = differences[-1]
    reason = because("gate-passed", gained=new.gained, lost=new.lost, parts=new.parts)
    return GateVerdict(verdict=Verdict.PASS, next="shadow", reasons=(reason,), differences=differences)


def _formal(evidence: GateEvidence) -> list[Reason]:
    against = []
    if evidence.bundle_hash in evidence.refused:
        against.append(because("gate-refused-before", bundle_hash=evidence.bundle_hash))
    if not evidence.certificate_passed:
        against.append(because("gate-certificate", why="; ".join(evidence.certificate_reasons) or "not given"))
    if evidence.production and not evidence.licence_production:
        against.append(because("gate-licence"))
    return against


def _judge_gold(
    found: Difference, settings: GateSettings, against: list[Reason], doubts: list[Reason], missing: list[Reason]
) -> None:
    if found.difference is None:
        return
    said = {
        "group": found.group.removeprefix("gold/"),
        "parts": found.parts,
        "before": found.active_right,
        "after": found.candidate_right,
        "margin": settings.margin,
    }
    worse = sign_test(found.lost, found.gained) <= settings.level
    if found.difference < -settings.margin and worse:
        against.append(because("gate-gold-worse", **said))
    elif found.parts < settings.gold_parts:
        missing.append(because("gate-gold-few", **said))
    elif found.difference < -settings.margin:
        doubts.append(because("gate-gold-doubtful", **said))
    elif found.lower < -settings.margin:
        missing.append(because("gate-gold-undecided", **said, lower=found.lower))


def _judge_new(
    found: Difference, settings: GateSettings, against: list[Reason], doubts: list[Reason], missing: list[Reason]
) -> None:
    said = {"parts": found.parts, "gained": found.gained, "lost": found.lost}
    if sign_test(found.lost, found.gained) <= settings.level:
        against.append(because("gate-new-worse", **said))
    elif found.lost > found.gained:
        doubts.append(because("gate-new-not-better", **said))
    elif found.parts < settings.new_parts:
        missing.append(because("gate-new-few", **said))
    elif sign_test(found.gained, found.lost) > settings.level:
        missing.append(because("gate-new-undecided", **said))


def _by_group(parts: Sequence[PairedPart], good_labels: Sequence[str]) -> dict[str, list[PairedPart]]:
    groups: dict[str, list[PairedPart]] = {}
    for part in parts:
        side = "good" if part.label in good_labels else "defect"
        groups.setdefault(side, []).append(part)
        if part.label != side:
            groups.setdefault(f"class {part.label}", []).append(part)
    return dict(sorted(groups.items()))


def is_right(decision: Decision, label: str, good_labels: Sequence[str]) -> bool:
    """Whether the decision suits the label. REVIEW and NO_VERDICT are not right: they cost somebody's time."""
    return decision is (Decision.OK if label in good_labels else Decision.NG)


def compare(group: str, parts: Sequence[PairedPart], good_labels: Sequence[str]) -> Difference:
    """Count one group of paired parts and bound the difference of being right."""
    active = [is_right(part.active, part.label, good_labels) for part in parts]
    candidate = [is_right(part.candidate, part.label, good_labels) for part in parts]
    gained = sum(after and not before for before, after in zip(active, candidate, strict=True))
    lost = sum(before and not after for before, after in zip(active, candidate, strict=True))
    n = len(parts)
    lower, upper = tango_interval(gained, lost, n)
    return Difference(
        group=group,
        parts=n,
        gained=gained,
        lost=lost,
        active_right=sum(active) / n if n else None,
        candidate_right=sum(candidate) / n if n else None,
        difference=(gained - lost) / n if n else None,
        lower=lower,
        upper=upper,
    )


def sign_test(for_it: int, against_it: int) -> float:
    """One-sided exact p-value that pairs which differ are as likely to fall either way.

    >>> round(sign_test(9, 1), 4)
    0.0107
    """
    return binomial_upper_tail(for_it, for_it + against_it, 0.5)


def tango_interval(gained: int, lost: int, parts: int) -> tuple[float, float]:
    """Score interval of (gained - lost) / parts, 90 % two-sided, so that each end is a one-sided 95 % bound; (-1, 1)
    without parts. Found by bisection on Tango's score statistic."""
    if parts == 0:
        return -1.0, 1.0
    estimate = (gained - lost) / parts
    return _end(gained, lost, parts, estimate, -1.0), _end(gained, lost, parts, estimate, 1.0)


def _end(gained: int, lost: int, parts: int, inside: float, outside: float) -> float:
    for _ in range(60):
        middle = 0.5 * (inside + outside)
        if abs(_score(gained, lost, parts, middle)) < _Z_ONE_SIDED_95:
            inside = middle
        else:
            outside = middle
    return outside


def _score(gained: int, lost: int, n: int, difference: float) -> float:
    """Tango's statistic for a true difference; the nuisance proportion has a closed form."""
    a = 2.0 * n
    b = -gained - lost + (2.0 * n - gained + lost) * difference
    c = -lost * difference * (1.0 - difference)
    q = (sqrt(max(b * b - 4.0 * a * c, 0.0)) - b) / (2.0 * a)
    variance = n * (2.0 * q + difference * (1.0 - difference))
    distance = gained - lost - n * difference
    if variance <= 1e-12:
        return 0.0 if abs(distance) < 1e-12 else float("inf")
    return distance / sqrt(variance)
