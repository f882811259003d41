"""Which candidates the gate lets through, with paired evidence."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from contracts.frame import Decision
from monitor.rules.gate import GateEvidence, GateSettings, GateVerdict, Verdict, judge_candidate
from monitor.rules.paired import PairedPart, balanced, compare, sign_test, tango_interval

OK, NG, REVIEW = Decision.OK, Decision.NG, Decision.REVIEW


def parts(label: str, *, both: int = 0, gained: int = 0, lost: int = 0, neither: int = 0) -> tuple[PairedPart, ...]:
    """Parts of one class: right by both, by the candidate only, by the active only, by none."""
    right, wrong = (OK, NG) if label == "good" else (NG, OK)
    answers = [(right, right)] * both + [(wrong, right)] * gained + [(right, wrong)] * lost + [(wrong, wrong)] * neither
    return tuple(
        PairedPart(part_id=f"{label}-{i}", label=label, active=active, candidate=candidate)
        for i, (active, candidate) in enumerate(answers)
    )


GOLD = (*parts("good", both=400), *parts("pit", both=200))
NEW = (*parts("good", both=30, gained=6), *parts("pit", both=5, gained=10))


def judged(**changes: Any) -> GateVerdict:
    values: dict[str, Any] = {
        "bundle_hash": "a" * 64,
        "good_labels": ("good",),
        "gold": GOLD,
        "new": NEW,
        "certificate_passed": True,
        "licence_production": True,
        "production": True,
    }
    return judge_candidate(GateEvidence(**{**values, **changes}), GateSettings())


def codes(verdict: GateVerdict) -> set[str]:
    return {reason.code for reason in verdict.reasons}


def test_not_inferior_at_home_and_better_on_the_new_parts_passes() -> None:
    verdict = judged()
    assert (verdict.verdict, verdict.next) == (Verdict.PASS, "shadow")


def test_every_reason_of_every_verdict_reads_in_plain_words() -> None:
    for verdict in (judged(), judged(gold=parts("good", both=5), new=(), certificate_passed=False)):
        assert all(reason.plain and "{" not in reason.plain for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"certificate_passed": False, "certificate_reasons": ("argmax agreement 0.9",)}, "gate-certificate"),
        ({"refused": frozenset({"a" * 64})}, "gate-refused-before"),
        ({"licence_production": False}, "gate-licence"),
    ],
)
def test_formal_faults_refuse_however_good_the_numbers(changes: dict[str, Any], code: str) -> None:
    verdict = judged(**changes)
    assert (verdict.verdict, verdict.next, codes(verdict)) == (Verdict.REFUSE, "none", {code})


def test_a_bundle_that_is_not_for_production_may_go_where_nothing_is_produced() -> None:
    assert judged(licence_production=False, production=False).verdict is Verdict.PASS


def test_a_worse_candidate_is_refused_for_the_class_it_lost() -> None:
    gold = (*parts("good", both=400), *parts("pit", both=100), *parts("scratch", both=60, lost=20))
    verdict = judged(gold=gold)
    assert verdict.verdict is Verdict.REFUSE
    assert any(reason.parameters["group"] == "class scratch" for reason in verdict.reasons)


def test_worse_on_the_new_parts_is_refused() -> None:
    verdict = judged(new=(*parts("good", both=30, lost=10), *parts("pit", both=20)))
    assert (verdict.verdict, codes(verdict)) == (Verdict.REFUSE, {"gate-new-worse"})


def test_passing_everything_is_no_improvement_although_most_parts_are_good() -> None:
    """37 good parts newly right, 13 defects newly missed: more right than before, and worse."""
    verdict = judged(new=(*parts("good", gained=37), *parts("pit", lost=13)))
    assert verdict.verdict is not Verdict.PASS
    assert verdict.next == "person"


def test_missing_defects_costs_what_the_settings_say() -> None:
    new = (*parts("good", both=15, gained=25), *parts("pit", both=17, lost=3))
    assert judged(new=new).verdict is Verdict.PASS
    assert judged(new=new, cost_escape=10.0).next == "person"


@pytest.mark.parametrize("gold", [parts("good", both=400), (*parts("good", both=400), *parts("pit", both=12))])
def test_classes_with_too_few_gold_parts_are_undecided_and_go_to_the_shadow(gold: tuple[PairedPart, ...]) -> None:
    verdict = judged(gold=gold)
    assert (verdict.verdict, verdict.next) == (Verdict.UNDECIDED, "shadow")
    assert codes(verdict) <= {"gate-no-gold", "gate-gold-few"}


def test_a_loss_that_is_not_proven_goes_to_a_person() -> None:
    verdict = judged(gold=(*parts("good", both=96, lost=6, gained=2), *parts("pit", both=200)))
    assert (verdict.verdict, verdict.next, codes(verdict)) == (Verdict.UNDECIDED, "person", {"gate-gold-doubtful"})


def test_two_parts_lost_by_chance_are_no_doubt() -> None:
    verdict = judged(gold=(*parts("good", both=43, lost=2), *parts("pit", both=200)))
    assert (verdict.verdict, verdict.next, codes(verdict)) == (Verdict.UNDECIDED, "shadow", {"gate-gold-undecided"})


def test_a_class_that_could_exclude_a_grave_loss_and_does_not_goes_to_a_person() -> None:
    """Of 100 parts one may be lost; of 45 none being lost would exclude nothing."""
    for parts_, lost, to in ((100, 1, "shadow"), (100, 2, "person"), (45, 1, "shadow")):
        verdict = judged(gold=(*parts("good", both=400), *parts("pit", both=parts_ - lost, lost=lost)))
        assert (verdict.verdict, verdict.next) == (Verdict.UNDECIDED, to), (parts_, lost)


def test_a_small_gold_set_cannot_exclude_a_loss_and_says_so() -> None:
    verdict = judged(gold=(*parts("good", both=60), *parts("pit", both=40)))
    assert (verdict.verdict, verdict.next, codes(verdict)) == (Verdict.UNDECIDED, "shadow", {"gate-gold-undecided"})


def test_no_new_parts_leave_better_undecided() -> None:
    assert codes(judged(new=())) == {"gate-new-few"}


def test_a_candidate_that_answers_the_same_is_not_better() -> None:
    verdict = judged(new=parts("good", both=50))
    assert (verdict.next, codes(verdict)) == ("person", {"gate-new-not-better"})


def test_review_is_not_right() -> None:
    shy = tuple(part.model_copy(update={"candidate": REVIEW}) for part in NEW)
    assert judged(new=shy).verdict is Verdict.REFUSE


@given(
    st.integers(0, 60),
    st.integers(0, 25),
    st.integers(0, 25),
    st.integers(0, 30),
    st.integers(0, 25),
    st.integers(0, 25),
)
def test_more_parts_lost_at_home_never_turn_a_refusal_into_a_pass(
    both: int, gained: int, lost: int, pit_both: int, pit_gained: int, pit_lost: int
) -> None:
    rank = {Verdict.PASS: 2, Verdict.UNDECIDED: 1, Verdict.REFUSE: 0}
    first = (*parts("good", both=both, gained=gained, lost=lost), *parts("pit", both=pit_both, lost=pit_lost))
    worse = (*parts("good", both=both, gained=gained, lost=lost), *parts("pit", both=pit_both, lost=pit_lost + 3))
    verdicts = judged(gold=worse), judged(gold=first)
    if pit_both + pit_lost >= 20:  # below, more parts also mean more evidence
        assert rank[verdicts[0].verdict] <= rank[verdicts[1].verdict]
    assert all((verdict.next == "none") is (verdict.verdict is Verdict.REFUSE) for verdict in verdicts)
    assert pit_gained >= 0


def test_tango_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    for n, gained, lost in ((50, 0.05, 0.08), (150, 0.02, 0.02), (30, 0.3, 0.1)):
        draws = rng.multinomial(n, (gained, lost, 1 - gained - lost), size=600)
        below = sum(tango_interval(int(g), int(b), n)[0] > gained - lost for g, b, _ in draws)
        above = sum(tango_interval(int(g), int(b), n)[1] < gained - lost for g, b, _ in draws)
        assert below / 600 < 0.085
        assert above / 600 < 0.085


def test_tango_interval_of_no_difference_is_the_closed_form() -> None:
    z = stats.norm.ppf(0.95)
    assert tango_interval(0, 0, 50) == pytest.approx((-(z**2) / (50 + z**2), z**2 / (50 + z**2)), abs=1e-6)
    assert tango_interval(0, 0, 0) == (-1.0, 1.0)
    low, high = tango_interval(50, 0, 50)
    assert 0.85 < low < high <= 1.0


def test_sign_test_is_the_binomial_test() -> None:
    assert sign_test(9, 3) == pytest.approx(stats.binomtest(9, 12, alternative="greater").pvalue)
    assert sign_test(0, 0) == 1.0


def test_balanced_test_of_one_side_is_the_sign_test() -> None:
    found = balanced(parts("good", both=5, gained=9, lost=3), ("good",))
    assert found.p_better == pytest.approx(sign_test(9, 3))
    assert found.p_worse == pytest.approx(sign_test(3, 9))
    assert found.difference == pytest.approx(6 / 17)


def test_balanced_test_keeps_its_level_when_both_models_are_equally_good() -> None:
    rng = np.random.default_rng(1)
    false = 0
    for _ in range(400):
        goods, pits = rng.binomial(12, 0.5), rng.binomial(6, 0.5)
        new = (
            *parts("good", both=40, gained=goods, lost=12 - goods),
            *parts("pit", both=20, gained=pits, lost=6 - pits),
        )
        false += balanced(new, ("good",)).p_better <= 0.05
    assert false / 400 < 0.08


def test_comparison_counts_both_ways() -> None:
    found = compare("x", parts("good", both=2, gained=3, lost=1, neither=4), ("good",))
    assert (found.parts, found.gained, found.lost, found.active_right, found.candidate_right) == (10, 3, 1, 0.3, 0.5)
