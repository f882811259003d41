"""Paired evidence: the same parts answered by two bundles. Counting, and what the counts prove.

Difference of paired proportions with its score interval: Tango 1998, "Equivalence test and confidence interval for the
difference in proportions for the paired-sample design", Statistics in Medicine 17. Exact one-sided sign test of the
pairs that differ: McNemar 1947. `balanced` weighs good and defective parts by their costs, not by how many there are: a
model that passes everything is no better for most parts being good.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, sqrt

from pydantic import BaseModel, ConfigDict, Field

from contracts.frame import Decision
from contracts.names import Label
from drift.quantile import binomial_upper_tail

_Z_ONE_SIDED_95 = 1.6448536269514722


class PairedPart(BaseModel):
    """One part with a known label, and what both bundles decided on it."""

    model_config = ConfigDict(frozen=True)

    part_id: str
    label: Label
    active: Decision
    candidate: Decision


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


def by_group(parts: Sequence[PairedPart], good_labels: Sequence[str]) -> dict[str, list[PairedPart]]:
    """Parts by side (`good`, `defect`) and, where the class is not the side itself, by `class LABEL`."""
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


class Balance(BaseModel):
    """Cost-weighted mean over good and defective parts of candidate minus active, and one-sided exact p-values."""

    model_config = ConfigDict(frozen=True)

    difference: float
    p_better: float
    p_worse: float


def balanced(
    parts: Sequence[PairedPart],
    good_labels: Sequence[str],
    *,
    cost_escape: float = 1.0,
    cost_false_reject: float = 1.0,
) -> Balance:
    """Compare on both sides at once. Under the null hypothesis each differing pair falls either way with probability
    1/2, independently, so the weighted sum of two binomials has an exact distribution. Without parts: 0, 1, 1."""
    groups = by_group(parts, good_labels)
    costs = {"good": cost_false_reject, "defect": cost_escape}
    sides = [(costs[side], compare(side, groups[side], good_labels)) for side in costs if side in groups]
    total = sum(cost for cost, _ in sides)
    steps = [(cost / total / found.parts, found.gained, found.lost) for cost, found in sides]
    observed = sum(step * (gained - lost) for step, gained, lost in steps)
    sums = {0.0: 1.0}
    for step, gained, lost in steps:
        differing = gained + lost
        chances = {step * (2 * won - differing): comb(differing, won) / 2**differing for won in range(differing + 1)}
        sums = _convolved(sums, chances)
    slack = 1e-12
    better = sum(chance for value, chance in sums.items() if value >= observed - slack)
    worse = sum(chance for value, chance in sums.items() if value <= observed + slack)
    return Balance(difference=observed, p_better=min(better, 1.0), p_worse=min(worse, 1.0))


def _convolved(left: dict[float, float], right: dict[float, float]) -> dict[float, float]:
    sums: dict[float, float] = {}
    for a, chance_a in left.items():
        for b, chance_b in right.items():
            sums[a + b] = sums.get(a + b, 0.0) + chance_a * chance_b
    return sums
