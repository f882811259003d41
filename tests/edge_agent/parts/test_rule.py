"""Which decision on a part follows from those on its views: nothing that is not wholly OK reads as OK."""

from __future__ import annotations

import itertools

import pytest

from contracts.frame import Decision
from edge_agent.parts.rule import decide, worst

OK, NG, REVIEW, NONE = Decision.OK, Decision.NG, Decision.REVIEW, Decision.NO_VERDICT
CAMERAS = ("cam-a", "cam-b", "cam-c")


@pytest.mark.parametrize("views", list(itertools.product([OK, NG, REVIEW, NONE, None], repeat=3)))
def test_every_way_three_views_can_come_out(views: tuple[Decision | None, ...]) -> None:
    """None: the view is missing."""
    seen = {camera: view for camera, view in zip(CAMERAS, views, strict=True) if view is not None}
    decision, reason = decide(seen, CAMERAS, {"cap"}, within_seconds=2.0)
    if NG in views:
        assert decision is NG
    elif None in views or NONE in views:
        assert decision is NONE
    elif REVIEW in views:
        assert decision is REVIEW
    else:
        assert decision is OK
    assert (reason is None) == (decision is OK)
    for camera, view in zip(CAMERAS, views, strict=True):
        assert (camera in (reason or "")) == (view is not OK)


def test_views_of_different_products_are_no_verdict_unless_one_is_ng() -> None:
    views = dict.fromkeys(CAMERAS, OK)
    decision, reason = decide(views, CAMERAS, {"cap", "lid"}, within_seconds=2.0)
    assert decision is NONE
    assert reason == "its pictures name different products: cap, lid"
    assert decide({**views, "cam-a": NG}, CAMERAS, {"cap", "lid"}, within_seconds=2.0)[0] is NG


def test_the_worst_does_not_depend_on_the_order() -> None:
    for decisions in itertools.permutations([OK, NG, REVIEW, NONE]):
        assert worst(decisions) is NG
    for decisions in itertools.permutations([OK, REVIEW, NONE]):
        assert worst(decisions) is NONE
