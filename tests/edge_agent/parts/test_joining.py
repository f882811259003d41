"""Views to parts: complete, missing, late, twice, once more. The clock is a number that the test moves."""

from __future__ import annotations

import pytest

from contracts.frame import Decision
from contracts.part import PartVerdict
from edge_agent.parts.joining import Joined, Joining, View
from edge_agent.parts.settings import PartSettings
from tests.simulators.captures import START

OK, NG, REVIEW, NONE = Decision.OK, Decision.NG, Decision.REVIEW, Decision.NO_VERDICT
HOUSING = PartSettings(name="housing", views=("cam-a", "cam-b"), within_seconds=2.0)
LID = PartSettings(name="lid", views=("cam-c", "cam-d"), within_seconds=1.0)


class Line:
    """Joins as the agent does: what is due is settled before what comes."""

    def __init__(self) -> None:
        self.joining = Joining([HOUSING, LID])
        self.now = 100.0
        self.late: list[str] = []

    def see(
        self, camera: str, decision: Decision = OK, part_id: str = "P-1", product: str = "cap"
    ) -> list[PartVerdict]:
        decided = self.wait(0.0)
        joined = Joined()
        self.joining.take(View(camera, part_id, product, "line-1", decision), self.now, joined)
        self.joining.settle(self.now, START, joined)
        return decided + self._decided(joined)

    def wait(self, seconds: float) -> list[PartVerdict]:
        self.now += seconds
        joined = Joined()
        self.joining.settle(self.now, START, joined)
        return self._decided(joined)

    def _decided(self, joined: Joined) -> list[PartVerdict]:
        for number, (part, verdict) in enumerate(joined.decided):
            self.joining.remember(part, verdict, number, self.now)
        self.late += [view.camera for _, view in joined.late]
        return [verdict for _, verdict in joined.decided]


@pytest.fixture
def line() -> Line:
    return Line()


def test_a_part_is_decided_when_all_its_views_are_there(line: Line) -> None:
    assert line.see("cam-a") == []
    (verdict,) = line.see("cam-b", NG)
    assert (verdict.part, verdict.part_id, verdict.decision) == ("housing", "P-1", NG)
    assert verdict.views == {"cam-a": OK, "cam-b": NG}
    assert verdict.missing == ()
    assert line.joining.next_due() is None


def test_parts_that_overlap_are_kept_apart(line: Line) -> None:
    assert (
        line.see("cam-a", part_id="P-1") == line.see("cam-a", part_id="P-2") == line.see("cam-c", part_id="P-1") == []
    )
    assert [verdict.part_id for verdict in line.see("cam-b", part_id="P-2")] == ["P-2"]
    assert [verdict.part for verdict in line.see("cam-d", part_id="P-1")] == ["lid"]
    assert [verdict.part for verdict in line.see("cam-b", part_id="P-1")] == ["housing"]


@pytest.mark.parametrize(("seen", "decision"), [(OK, NONE), (REVIEW, NONE), (NONE, NONE), (NG, NG)])
def test_a_missing_view_is_never_ok(line: Line, seen: Decision, decision: Decision) -> None:
    line.see("cam-a", seen)
    assert line.wait(1.9) == []
    (verdict,) = line.wait(0.2)
    assert verdict.decision is decision
    assert verdict.missing == ("cam-b",)
    assert "no picture of cam-b within 2 s" in (verdict.reason or "")


def test_a_view_that_comes_when_the_time_is_up_is_too_late(line: Line) -> None:
    line.see("cam-a")
    line.now += 2.0
    (verdict,) = line.see("cam-b")
    assert verdict.decision is NONE
    assert line.late == ["cam-b"]


def test_a_late_view_changes_nothing(line: Line) -> None:
    line.see("cam-a")
    line.wait(2.1)
    assert line.see("cam-b") == []
    assert line.late == ["cam-b"]
    assert line.wait(60.0) == []


def test_a_late_view_that_comes_twice_is_a_new_round_without_the_other_view(line: Line) -> None:
    line.see("cam-a")
    line.wait(2.1)
    line.see("cam-b"), line.see("cam-b")
    (verdict,) = line.wait(2.1)
    assert (verdict.decision, verdict.missing) == (NONE, ("cam-a",))


@pytest.mark.parametrize(("first", "second", "decision"), [(OK, NG, NG), (NG, OK, NG), (NONE, OK, NONE), (OK, OK, OK)])
def test_of_two_pictures_of_one_view_the_worse_counts(
    line: Line, first: Decision, second: Decision, decision: Decision
) -> None:
    line.see("cam-a", first)
    assert line.see("cam-a", second) == []
    (verdict,) = line.see("cam-b")
    assert verdict.decision is decision


def test_a_part_that_is_shown_again_gets_a_verdict_of_its_own(line: Line) -> None:
    line.see("cam-a")
    line.wait(2.1)
    line.wait(2.1)  # no longer late
    assert line.see("cam-b") == []
    (verdict,) = line.see("cam-a")
    assert verdict.decision is OK


def test_a_second_picture_after_an_ok_part_cannot_make_another_ok(line: Line) -> None:
    line.see("cam-a")
    assert [verdict.decision for verdict in line.see("cam-b")] == [OK]
    assert line.see("cam-b") == []
    assert [verdict.decision for verdict in line.wait(2.1)] == [NONE]


def test_views_that_name_two_products_are_no_verdict(line: Line) -> None:
    line.see("cam-a", product="cap")
    (verdict,) = line.see("cam-b", product="lid")
    assert verdict.decision is NONE


def test_a_draft_leaves_the_original_as_it_was(line: Line) -> None:
    line.see("cam-a")
    draft = line.joining.copy()
    draft.take(View("cam-b", "P-1", "cap", "line-1", OK), line.now, Joined())
    draft.settle(line.now, START, Joined())
    assert draft.open == {}
    assert [part.views for part in line.joining.open.values()] == [{"cam-a": OK}]


def test_an_open_part_that_the_settings_no_longer_know_is_no_verdict(line: Line) -> None:
    line.see("cam-a")
    (part,) = line.joining.open.values()
    other, joined = Joining([LID]), Joined()
    other.reopen(part, now=0.0)
    other.settle(0.0, START, joined)
    ((_, verdict),) = joined.decided
    assert verdict.decision is NONE
    assert "no longer know" in (verdict.reason or "")
