"""What several answers come to, and how much one person may decide."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from monitor.rules.rating import Said, Standing, may_go_on, settled, standing

KNOWN = frozenset({"good", "pit"})


def said(*labels: str) -> list[Said]:
    return [Said(f"rater-{n}", label) for n, label in enumerate(labels)]


@pytest.mark.parametrize(
    ("labels", "counts", "asks"),
    [
        ((), None, True),
        (("pit",), "pit", True),  # the second opinion does not delay it
        (("pit", "pit"), "pit", False),
        (("pit", "good"), None, True),
        (("pit", "good", "good"), "good", False),
        (("pit", "good", "dent"), None, False),
        (("dent",), None, True),
    ],
)
def test_most_people_decide_and_three_who_differ_decide_nothing(
    labels: tuple[str, ...], counts: str | None, asks: bool
) -> None:
    assert standing(said(*labels), KNOWN, second_opinion=True) == Standing(counts, asks)


def test_without_a_second_opinion_one_answer_is_the_end() -> None:
    assert standing(said("pit"), KNOWN, second_opinion=False) == Standing("pit", asks=False)


def test_a_site_without_classes_takes_every_class() -> None:
    assert standing(said("dent"), None, second_opinion=False) == Standing("dent", asks=False)


def test_two_different_people_make_a_class_and_one_who_repeats_it_does_not() -> None:
    one = [Said("ann", "dent")] * 9
    assert settled(KNOWN, one) == KNOWN
    assert settled(KNOWN, [*one, Said("bo", "dent"), Said("bo", "burr")]) == KNOWN | {"dent"}


@pytest.mark.parametrize(("people", "most"), [(2, 0.6), (2, 0.3), (3, 0.5), (5, 0.2)])
def test_nobody_passes_the_share_and_somebody_may_always_go_on(people: int, most: float) -> None:
    rng, given, names = random.Random(people), Counter[str](), [f"rater-{n}" for n in range(people)]
    for _ in range(600):
        open_to = [name for name in names if may_go_on(given, name, people=people, most=most, free=10)]
        assert open_to
        given[max(open_to) if rng.random() < 0.8 else rng.choice(open_to)] += 1  # one is much faster than the others
    assert max(given.values()) <= max(most, 1 / people) * 600 + 1


def test_who_labels_alone_may_go_on() -> None:
    assert may_go_on({"ann": 900}, "ann", people=1, most=0.1, free=0)
