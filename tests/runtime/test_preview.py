"""What other thresholds would have said: exact counts, or none."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from contracts.errors import ConfigurationError
from contracts.frame import Decision
from contracts.scores import EDGES, Scores, TruthCounts, bin_of
from contracts.thresholds import Thresholds
from runtime.band import Prices
from runtime.decision import Rule, decide
from runtime.preview import Known, Tally, chosen_by_cost, preview, snapped, tally, together

OWN = Thresholds(ng=0.5, review_from=0.4137)
OURS = tuple(sorted({*EDGES, OWN.review_from}))
DAY = date(2026, 3, 1)


def counted(values: Any, edges: tuple[float, ...] = OURS) -> dict[int, int]:
    found: dict[int, int] = {}
    for value in values:
        found[bin_of(float(value), edges)] = found.get(bin_of(float(value), edges), 0) + 1
    return found


def scores(values: Any, *, edges: tuple[float, ...] = OURS, day: date = DAY, **more: Any) -> Scores:
    counts = counted(values, edges)
    fields = {
        "bundle_hash": "a" * 64, "product": "cap", "since": datetime(2026, 2, 22, tzinfo=UTC),
        "until": datetime(2026, 3, 1, tzinfo=UTC), "edges": edges, "days": {day: counts}, "labels": {"good": counts},
    }  # fmt: skip
    return Scores.model_validate({**fields, **more})


@pytest.mark.parametrize("then", [Thresholds(ng=0.5, review_from=0.4137), Thresholds(ng=0.995, review_from=0.0002)])
def test_counts_are_those_of_deciding_every_part_again(then: Thresholds) -> None:
    values = np.random.default_rng(1).beta(0.4, 0.6, 3000)
    values[:3] = 0.0, 1.0, then.ng
    rule = Rule(("good", "scratch"), ("good",), then)
    told = [decide(np.array([1 - value, value]), rule).decision for value in values]
    assert preview(scores(values), OWN, then, own=OWN).all.then == Tally(
        told.count(Decision.OK), told.count(Decision.REVIEW), told.count(Decision.NG)
    )


def test_a_threshold_between_two_edges_is_refused_and_not_guessed() -> None:
    with pytest.raises(ConfigurationError, match=r"0\.6123 lies between two edges"):
        tally({0: 1}, Thresholds(ng=0.6123, review_from=0.4))
    assert snapped(Thresholds(ng=0.6123, review_from=0.4)).ng == 0.61


def test_misses_and_false_alarms_are_those_of_parts_whose_truth_is_known() -> None:
    truth = TruthCounts(good=counted([0.1, 0.45, 0.8]), defect=counted([0.3, 0.6, 0.9, 0.99]))
    audit = TruthCounts(defect=counted([0.2]))
    seen = preview(
        scores([0.1, 0.9], outcomes=truth.model_dump()), OWN, Thresholds(ng=0.7, review_from=0.7), own=OWN,
        truths={"labels": audit},
    )  # fmt: skip
    assert seen.known["line"].now == Known(defects=4, good=3, misses=1, false_alarms=1, reviewed=1)
    assert seen.known["line"].then == Known(defects=4, good=3, misses=2, false_alarms=1, reviewed=0)
    assert seen.known["labels"].then == Known(defects=1, good=0, misses=1, false_alarms=0, reviewed=0)


def test_several_agents_add_up_on_the_edges_that_all_have() -> None:
    other = tuple(sorted({*EDGES, 0.333}))
    both = together([scores([0.41, 0.42, 0.9]), scores([0.2, 0.9], edges=other, day=date(2026, 2, 28))])
    assert (both.images, both.edges, sorted(both.days)) == (5, EDGES, [date(2026, 2, 28), DAY])
    assert tally(both.all, Thresholds(ng=0.5, review_from=0.41)) == Tally(ok=1, review=2, ng=2)


def test_the_cheapest_band_on_edges_stays_within_the_time_that_people_have() -> None:
    values = np.random.default_rng(2).beta(0.3, 0.3, 5000)
    prices = Prices(escape=1.0, false_reject=1.0, review=0.05, most_reviewed=0.04)
    found = chosen_by_cost(scores(values), OWN, prices)
    seen = preview(scores(values), OWN, found, own=OWN, prices=prices)
    assert 0.03 < seen.all.then.review / 5000 <= 0.04
    assert seen.cost_then is not None
    assert seen.cost_now is not None
    assert seen.cost_then < seen.cost_now


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": {}}, "differently many"),
        ({"edges": (0.0, 0.5, 0.5, 1.0)}, "edges must rise"),
        ({"edges": (0.1, 1.0)}, "edges must rise"),
        ({"outcomes": {"good": {len(OURS) - 1: 1}}}, "beyond the edges"),
        ({"days": {DAY: {0: -1}}}, "greater than or equal"),
        ({"days": {DAY: {0: 10**400}}}, "less than or equal"),
        ({"until": datetime(2025, 1, 1, tzinfo=UTC)}, "before since"),
    ],
)
def test_scores_that_cannot_be_right_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        scores([0.9], **changes)
