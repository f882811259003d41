"""May a candidate go on to the shadow? Paired evidence only: both bundles answered the same parts with known labels.

On the gold set (parts of the home condition that no model was trained on) the candidate must not be inferior, for good
and defective parts apart and for every class with enough parts: the lower bound of the paired difference must lie above
minus the margin. On the new, gate-labelled parts it must be better, good and defective parts weighed by their costs.
What the numbers cannot decide is UNDECIDED, never PASS: it goes on to the shadow when nothing speaks against it, and to
a person when something does (`doubt_level`: a part or two lost by chance does not). A group with parts enough to
exclude a loss of `grave_loss` that looks worse and does not exclude it asks a person too: the shadow sees no labels
that could. A candidate that is truly that much worse then goes on by itself in one case of twenty. The statistics are
in `paired`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from contracts.names import Label, Sha256
from contracts.settings import Settings
from monitor.rules.paired import Balance, Difference, PairedPart, balanced, by_group, compare, sign_test, tango_interval
from monitor.rules.reason import Parameter, Reason, because


class GateSettings(Settings):
    """Limits of the gate."""

    margin: float = Field(default=0.03, gt=0, lt=0.5, description="loss on the gold set that is acceptable")
    level: float = Field(default=0.05, gt=0, lt=0.5, description="of the sign test on new parts")
    doubt_level: float = Field(
        default=0.2, gt=0, lt=0.5, description="of the sign test on gold parts, from which on a person is asked"
    )
    grave_loss: float = Field(
        default=0.05, gt=0, lt=0.5, description="not excluded by gold parts that could have: a person is asked"
    )
    gold_parts: int = Field(default=20, ge=1, description="fewer gold parts of a class: that class is undecided")
    new_parts: int = Field(default=20, ge=1, description="fewer new parts: 'better' is undecided")


class GateEvidence(BaseModel):
    """All that the gate looks at. `production` says whether any agent that would get the bundle is a production one."""

    model_config = ConfigDict(frozen=True)

    bundle_hash: Sha256
    good_labels: tuple[Label, ...]
    gold: tuple[PairedPart, ...]
    new: tuple[PairedPart, ...] = Field(description="parts labelled for the gate, never trained on")
    cost_escape: float = Field(default=1.0, gt=0)
    cost_false_reject: float = Field(default=1.0, gt=0)
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
    gold = by_group(evidence.gold, evidence.good_labels)
    differences = [compare(f"gold/{name}", parts, evidence.good_labels) for name, parts in gold.items()]
    new = compare("new", evidence.new, evidence.good_labels)
    balance = balanced(
        evidence.new,
        evidence.good_labels,
        cost_escape=evidence.cost_escape,
        cost_false_reject=evidence.cost_false_reject,
    )
    against = _formal(evidence)
    doubts: list[Reason] = []
    missing: list[Reason] = []
    for difference in differences:
        _judge_gold(difference, settings, against, doubts, missing)
    for side in ("good", "defect"):
        if f"gold/{side}" not in {difference.group for difference in differences}:
            missing.append(because("gate-no-gold", group=side))
    _judge_new(new, balance, settings, against, doubts, missing)
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
    said: dict[str, Parameter] = {
        "group": found.group.removeprefix("gold/"),
        "parts": found.parts,
        "before": found.active_right,
        "after": found.candidate_right,
        "margin": settings.margin,
    }
    chance = sign_test(found.lost, found.gained)  # that it looks so much worse, or more, and is not
    if found.difference < -settings.margin and chance <= settings.level:
        against.append(because("gate-gold-worse", **said))
    elif found.parts < settings.gold_parts:
        missing.append(because("gate-gold-few", **said))
    elif (found.difference < -settings.margin and chance <= settings.doubt_level) or _may_be_grave(found, settings):
        doubts.append(because("gate-gold-doubtful", **said))
    elif found.lower < -settings.margin:
        missing.append(because("gate-gold-undecided", **said, lower=found.lower))


def _may_be_grave(found: Difference, settings: GateSettings) -> bool:
    """Whether it looks worse, and parts that would exclude a grave loss, had all stayed right, do not."""
    at_best, _ = tango_interval(0, 0, found.parts)
    return found.lost > found.gained and found.lower < -settings.grave_loss <= at_best


def _judge_new(
    found: Difference,
    balance: Balance,
    settings: GateSettings,
    against: list[Reason],
    doubts: list[Reason],
    missing: list[Reason],
) -> None:
    said: dict[str, Parameter] = {
        "parts": found.parts,
        "gained": found.gained,
        "lost": found.lost,
        "difference": balance.difference,
    }
    if balance.p_worse <= settings.level:
        against.append(because("gate-new-worse", **said))
    elif balance.difference < 0 or (balance.difference == 0 and found.parts >= settings.new_parts):
        doubts.append(because("gate-new-not-better", **said))
    elif found.parts < settings.new_parts:
        missing.append(because("gate-new-few", **said))
    elif balance.p_better > settings.level:
        missing.append(because("gate-new-undecided", **said))
