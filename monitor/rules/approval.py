"""Who lets a candidate into service: a person (default), two people, or the rules after a clean shadow."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from monitor.rules.gate import GateVerdict
from monitor.rules.reason import Reason, because
from monitor.rules.settings import ApprovalMode
from monitor.rules.shadowing import Promotion, ShadowVerdict


class Approval(StrEnum):
    """What is still missing before the candidate serves."""

    GO = "GO"
    WAIT_FOR_SHADOW = "WAIT_FOR_SHADOW"
    WAIT_FOR_PEOPLE = "WAIT_FOR_PEOPLE"
    STOP = "STOP"


class ApprovalVerdict(BaseModel):
    """The answer and why."""

    model_config = ConfigDict(frozen=True)

    verdict: Approval
    reason: Reason


def approve(
    mode: ApprovalMode,
    gate: GateVerdict,
    shadow: ShadowVerdict | None,
    *,
    approved_by: Collection[str] = (),
    rejected_by: Collection[str] = (),
) -> ApprovalVerdict:
    """Whether the candidate may serve now. People are pseudonyms; the same person twice counts once, in capitals too. A
    candidate that the gate sent to a person needs at least one, whatever the mode. Nobody outweighs a refusal by gate
    or shadow."""
    if rejected_by:
        return _verdict(Approval.STOP, "approval-rejected", who=", ".join(sorted(rejected_by)))
    if gate.next == "none":
        return _verdict(Approval.STOP, "approval-gate-refused")
    if shadow is not None and shadow.verdict is Promotion.REFUSE:
        return _verdict(Approval.STOP, "approval-shadow-refused")
    if shadow is None or shadow.verdict is Promotion.WAIT:
        return _verdict(Approval.WAIT_FOR_SHADOW, "approval-waits-for-shadow")
    needed = {"person": 1, "two-people": 2, "automatic-after-shadow": 0}[mode]
    needed = max(needed, 1) if gate.next == "person" else needed
    given = len({name.strip().casefold() for name in approved_by})
    if given < needed:
        return _verdict(Approval.WAIT_FOR_PEOPLE, "approval-waits-for-people", given=given, needed=needed)
    return _verdict(Approval.GO, "approval-given", mode=mode, given=given)


def _verdict(verdict: Approval, code: str, **parameters: str | int) -> ApprovalVerdict:
    return ApprovalVerdict(verdict=verdict, reason=because(code, **parameters))
