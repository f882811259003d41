"""Which shadows are promoted, and who says so."""

from datetime import timedelta
from typing import Any

import pytest

from contracts.frame import Decision
from monitor.rules.approval import Approval, approve
from monitor.rules.gate import GateVerdict, Verdict
from monitor.rules.paired import PairedPart
from monitor.rules.reason import because
from monitor.rules.settings import ApprovalMode
from monitor.rules.shadowing import Promotion, ShadowEvidence, ShadowSettings, ShadowVerdict, judge_shadow
from tests.simulators.planted_model import START

LOST = tuple(PairedPart(part_id=str(i), label="pit", active=Decision.NG, candidate=Decision.OK) for i in range(10))


def judged(hours: float = 1.0, **changes: Any) -> ShadowVerdict:
    values: dict[str, Any] = {
        "started_at": START,
        "good_labels": ("good",),
        "replay_finished": True,
        "replay_images": 300,
        "images": 600,
        "active_decisions": {Decision.OK: 300, Decision.NG: 300},
        "shadow_decisions": {Decision.OK: 420, Decision.NG: 180},
        "active_latency_seconds_sum": 1.2,
        "shadow_latency_seconds_sum": 1.3,
        "active_images": 600,
        "random_defects": 60,
        "random_labels": 200,
    }
    evidence = ShadowEvidence(**{**values, **changes})
    return judge_shadow(evidence, START + timedelta(hours=hours), ShadowSettings())


def codes(verdict: ShadowVerdict) -> list[str]:
    assert all(reason.plain for reason in verdict.reasons)
    return [reason.code for reason in verdict.reasons]


def test_a_clean_shadow_is_promoted_however_much_it_disagrees_with_a_model_that_is_wrong() -> None:
    assert judged().verdict is Promotion.PROMOTE


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"failures": 1}, "shadow-failures"),
        ({"replay_failures": 1}, "shadow-failures"),
        ({"shadow_latency_seconds_sum": 60.0}, "shadow-slow"),
        ({"shadow_decisions": {Decision.OK: 600}}, "shadow-reject-share"),
        ({"shadow_decisions": {Decision.NG: 600}}, "shadow-reject-share"),
        ({"shadow_decisions": {Decision.REVIEW: 600}}, "shadow-reject-share"),
        ({"labelled": LOST}, "shadow-labels-worse"),
    ],
)
def test_what_speaks_against_a_shadow_refuses_it(changes: dict[str, Any], code: str) -> None:
    verdict = judged(**changes)
    assert (verdict.verdict, codes(verdict)) == (Promotion.REFUSE, [code])


def test_failures_refuse_at_once_without_waiting_for_more_images() -> None:
    assert judged(images=3, failures=1).verdict is Promotion.REFUSE


@pytest.mark.parametrize("changes", [{"images": 100}, {"replay_finished": False}])
def test_missing_evidence_waits_and_after_its_time_refuses(changes: dict[str, Any]) -> None:
    assert judged(**changes).verdict is Promotion.WAIT
    late = judged(hours=100, **changes)
    assert late.verdict is Promotion.REFUSE
    assert codes(late)[0] == "shadow-timeout"


def test_without_random_labels_the_share_of_rejects_is_not_judged() -> None:
    assert judged(random_labels=0, random_defects=0, shadow_decisions={Decision.NG: 600}).verdict is Promotion.PROMOTE


PASSED = ShadowVerdict(verdict=Promotion.PROMOTE, reasons=())
REFUSED = ShadowVerdict(verdict=Promotion.REFUSE, reasons=())


def gate(next_: str = "shadow") -> GateVerdict:
    verdict = {"none": Verdict.REFUSE, "shadow": Verdict.PASS, "person": Verdict.UNDECIDED}[next_]
    return GateVerdict.model_validate(
        {"verdict": verdict, "next": next_, "reasons": [because("gate-licence")], "differences": []}
    )


@pytest.mark.parametrize(
    ("mode", "people", "expected"),
    [
        ("person", (), Approval.WAIT_FOR_PEOPLE),
        ("person", ("ada",), Approval.GO),
        ("two-people", ("ada", "ada"), Approval.WAIT_FOR_PEOPLE),
        ("two-people", ("ada", "Ada"), Approval.WAIT_FOR_PEOPLE),
        ("two-people", ("ada", "bob"), Approval.GO),
        ("automatic-after-shadow", (), Approval.GO),
    ],
)
def test_who_approves_is_a_setting(mode: ApprovalMode, people: tuple[str, ...], expected: Approval) -> None:
    assert approve(mode, gate(), PASSED, approved_by=people).verdict is expected


def test_nobody_outweighs_a_refusal() -> None:
    everyone = ("ada", "bob", "eve")
    assert approve("person", gate("none"), PASSED, approved_by=everyone).verdict is Approval.STOP
    assert approve("person", gate(), REFUSED, approved_by=everyone).verdict is Approval.STOP
    assert approve("person", gate(), PASSED, approved_by=everyone, rejected_by=("zoe",)).verdict is Approval.STOP


def test_approval_before_the_shadow_has_finished_waits_for_it() -> None:
    assert approve("automatic-after-shadow", gate(), None).verdict is Approval.WAIT_FOR_SHADOW


def test_what_the_gate_sends_to_a_person_is_never_promoted_by_itself() -> None:
    assert approve("automatic-after-shadow", gate("person"), PASSED).verdict is Approval.WAIT_FOR_PEOPLE
