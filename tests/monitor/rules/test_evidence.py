"""What labels prove, and what they do not."""

import numpy as np
import pytest

from contracts.certificate import TaskMetrics
from contracts.errors import ConfigurationError
from contracts.frame import Decision, OutcomeSource
from drift.tolerance import certified_counts
from monitor.rules.evidence import Evidence, compatible_error, counted, failed_sides, harms, no_evidence
from monitor.rules.happening import LabelSeen
from monitor.rules.settings import RuleSettings
from tests.simulators.planted_model import START, A, bundle_hash, facts

FACTS, SETTINGS = facts(1, START), RuleSettings()


def label(
    true: str, decision: Decision, source: OutcomeSource = OutcomeSource.DRIFT_SAMPLE, *, part: str = "p"
) -> LabelSeen:
    return LabelSeen(
        at=START,
        camera=A,
        part_id=part,
        label=true,
        source=source,
        decision=decision,
        bundle_hash=bundle_hash(1),
        triggered_at=START,
    )


def after(labels: list[LabelSeen]) -> Evidence:
    evidence = no_evidence(FACTS, SETTINGS)
    for one in labels:
        evidence = counted(evidence, one, FACTS, SETTINGS)
    return evidence


def test_missed_defects_prove_escapes_and_only_the_defect_side_failed() -> None:
    evidence = after([label("pit", Decision.OK), label("good", Decision.OK)] * 20)
    assert [reason.code for reason in harms(evidence, SETTINGS)] == ["harm-escapes"]
    assert failed_sides(evidence, SETTINGS) == ("defect",)


def test_rejected_good_parts_prove_false_rejects() -> None:
    evidence = after([label("good", Decision.NG), label("pit", Decision.NG)] * 20)
    assert [reason.code for reason in harms(evidence, SETTINGS)] == ["harm-false-rejects"]
    assert failed_sides(evidence, SETTINGS) == ("good",)


def test_a_model_moderately_wrong_on_both_sides_is_proven_by_both_together() -> None:
    missed = [label("pit", Decision.OK), label("pit", Decision.NG)] * 3
    rejected = [label("good", Decision.NG)] * 3 + [label("good", Decision.OK)] * 5
    evidence = after((missed + rejected) * 5)
    assert not evidence.escapes.drift_detected
    assert not evidence.false_rejects.drift_detected
    assert [reason.code for reason in harms(evidence, SETTINGS)] == ["harm-both"]
    assert failed_sides(evidence, SETTINGS) == ("good", "defect")


@pytest.mark.parametrize("source", [OutcomeSource.ATYPICAL, OutcomeSource.OPERATOR, OutcomeSource.END_OF_LINE])
def test_labels_found_by_looking_prove_nothing_but_count_as_new(source: OutcomeSource) -> None:
    evidence = after([label("pit", Decision.OK, source)] * 100)
    assert not harms(evidence, SETTINGS)
    assert (evidence.random, evidence.labels) == (0, 100)


def test_review_is_neither_an_escape_nor_a_false_reject() -> None:
    evidence = after([label("pit", Decision.REVIEW), label("good", Decision.REVIEW)] * 100)
    assert (evidence.random, evidence.wrong) == (200, 0)


def test_parts_without_a_verdict_are_not_tested() -> None:
    assert after([label("pit", Decision.NO_VERDICT)] * 10).random == 0


def test_five_parts_of_an_unseen_class_are_harm_and_four_are_not() -> None:
    found = [label("crack", Decision.NG, OutcomeSource.OPERATOR, part=f"p-{n}") for n in range(5)]
    assert not harms(after(found[:4]), SETTINGS)
    evidence = after(found)
    assert [reason.code for reason in harms(evidence, SETTINGS)] == ["harm-unseen-class"]
    assert failed_sides(evidence, SETTINGS) == ("defect",)


@pytest.mark.parametrize("again", [OutcomeSource.ATYPICAL, OutcomeSource.UNSURE, OutcomeSource.AUDIT])
def test_parts_of_an_unseen_class_that_line_and_rater_both_name_are_not_twice_as_many(again: OutcomeSource) -> None:
    twice = (OutcomeSource.OPERATOR, again)
    evidence = after([label("crack", Decision.NG, source, part=f"p-{n}") for n in range(4) for source in twice])
    assert evidence.unseen == {"crack": 4}
    assert not harms(evidence, SETTINGS)


def test_of_an_unseen_class_no_more_parts_are_remembered_than_are_enough() -> None:
    evidence = after([label("crack", Decision.NG, part=f"p-{n}") for n in range(50)])
    assert evidence.unseen_parts == {"crack": tuple(f"p-{n}" for n in range(SETTINGS.unseen_class_parts))}


def test_a_count_of_unseen_parts_from_before_their_ids_were_kept_goes_on() -> None:
    stored = after([label("crack", Decision.NG, part=f"p-{n}") for n in range(4)]).model_dump(mode="json")
    del stored["unseen_parts"]
    older = Evidence.model_validate(stored)
    assert not harms(older, SETTINGS)
    assert harms(counted(older, label("crack", Decision.NG, part="p-4"), FACTS, SETTINGS), SETTINGS)


@pytest.mark.parametrize("defects", [0.3, 0.05, 0.01])
def test_three_percent_wrong_labels_alone_prove_no_harm(defects: float) -> None:
    """A model that errs as certified, 60 sequences of 400 labels of which 3 % are flipped: also where defects are
    rare."""
    rng = np.random.default_rng(0)
    false = 0
    for _ in range(60):
        evidence = no_evidence(FACTS, SETTINGS)
        for defect, errs, flipped in zip(
            rng.random(400) < defects, rng.random(400) < 0.06, rng.random(400) < 0.03, strict=True
        ):
            decision = Decision.NG if defect != errs else Decision.OK
            evidence = counted(evidence, label("pit" if defect != flipped else "good", decision), FACTS, SETTINGS)
        false += bool(harms(evidence, SETTINGS))
    assert false == 0


def test_harmless_says_which_error_is_still_possible() -> None:
    low, high = compatible_error(after([label("good", Decision.OK)] * 198 + [label("good", Decision.NG)] * 2))
    assert low == pytest.approx(0.0012, abs=1e-4)
    assert high == pytest.approx(0.0357, abs=1e-4)


def metrics(**changes: object) -> TaskMetrics:
    values = {
        "examples": 100,
        "accuracy": 0.9,
        "balanced_accuracy": 0.9,
        "auroc": 0.9,
        "best_constant": 0.7,
        "recall_good": 0.9,
        "recall_defect": 0.8,
        "confusion": {"good": {"good": 63, "pit": 7}, "pit": {"good": 6, "pit": 24}},
    }
    return TaskMetrics.model_validate({**values, **changes})


def test_tolerances_come_from_the_certified_test_errors() -> None:
    assert certified_counts(metrics(), ("good",)) == {"good": (7, 70), "defect": (6, 30)}


def test_a_bundle_without_defects_in_its_test_set_says_nothing() -> None:
    with pytest.raises(ConfigurationError, match="defect"):
        certified_counts(metrics(recall_defect=None), ("good",))
