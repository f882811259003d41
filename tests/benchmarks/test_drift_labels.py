"""Labels to proof: what the benchmark counts is what the rules prove."""

import numpy as np

from benchmarks.drift.labels import NEVER, judged_after, labelled, promising, proven_after
from contracts.frame import Decision
from drift.eprocess import EProcess
from monitor.rules.settings import RuleSettings


def by_the_rules(wrong: np.ndarray, tolerated: float, proof: float) -> int:
    process = EProcess(tolerated=tolerated, proof=proof)
    for number, each in enumerate(wrong, start=1):
        process = process.update(bool(each))
        if process.drift_detected:
            return number
    return NEVER


def test_many_sequences_at_once_are_proven_when_the_rules_prove_them_one_by_one() -> None:
    rng = np.random.default_rng(0)
    for error, tolerated, proof in ((0.1, 0.02, 1e4), (0.45, 0.02, 1e4), (0.1, 0.1, 5.0), (0.3, 0.1, 80.0)):
        wrong = rng.random((12, 150)) < error
        found = proven_after(wrong, tolerated=tolerated, proof=proof)
        assert found.tolist() == [by_the_rules(row, tolerated, proof) for row in wrong]


def test_more_harm_is_proven_with_fewer_labels_and_none_with_none() -> None:
    rng = np.random.default_rng(0)
    needed = {rate: proven_after(rng.random((300, 1000)) < rate).mean() for rate in (0.1, 0.45)}
    assert needed[0.45] < 15 < 100 < needed[0.1] < 135
    assert (proven_after(rng.random((200, 200)) < 0.01) == NEVER).all()


def test_raters_who_err_as_often_as_allowed_prove_nothing_of_a_release_that_keeps_its_promise() -> None:
    rng = np.random.default_rng(1)
    facts, settings = promising(tolerated=0.05), RuleSettings()
    assert [judged_after(rng, facts, settings, 0.05, 200) for _ in range(10)] == [NEVER] * 10
    assert np.mean([min(judged_after(rng, facts, settings, 0.45, 300), 300) for _ in range(10)]) < 60


def test_a_rater_who_sees_wrongly_makes_a_right_verdict_look_wrong() -> None:
    seen = labelled(1, defect=False, wrong=False, misread=True)
    assert (seen.label, seen.decision) == ("defect", Decision.OK)
    seen = labelled(1, defect=True, wrong=True, misread=False)
    assert (seen.label, seen.decision) == ("defect", Decision.OK)
