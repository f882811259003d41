"""Labels to proof: what the benchmark counts is what the rules prove."""

import numpy as np

from benchmarks.drift.labels import judged_after, labelled, promising, proven_after
from contracts.frame import Decision
from monitor.rules.settings import RuleSettings


def test_more_harm_is_proven_with_fewer_labels_and_none_with_none() -> None:
    rng = np.random.default_rng(0)
    needed = {rate: [proven_after(rng, rate, 400) or 400 for _ in range(30)] for rate in (0.1, 0.45)}
    assert np.mean(needed[0.45]) < 15 < 60 < np.mean(needed[0.1]) < 160
    assert all(proven_after(rng, 0.01, 200) is None for _ in range(20))


def test_raters_who_err_as_often_as_allowed_prove_nothing_of_a_release_that_keeps_its_promise() -> None:
    rng = np.random.default_rng(1)
    facts, settings = promising(tolerated=0.05), RuleSettings()
    assert [judged_after(rng, facts, settings, 0.05, 200) for _ in range(10)] == [None] * 10
    assert np.mean([judged_after(rng, facts, settings, 0.45, 300) or 300 for _ in range(10)]) < 60


def test_a_rater_who_sees_wrongly_makes_a_right_verdict_look_wrong() -> None:
    seen = labelled(1, defect=False, wrong=False, misread=True)
    assert (seen.label, seen.decision) == ("defect", Decision.OK)
    seen = labelled(1, defect=True, wrong=True, misread=False)
    assert (seen.label, seen.decision) == ("defect", Decision.OK)
