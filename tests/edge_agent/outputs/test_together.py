"""What a line hears of a part that several cameras see: nothing before it is decided, and then the part's decision."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts.answer import Answer
from contracts.frame import Decision
from contracts.part import PartVerdict
from edge_agent.outputs.lane import Told
from edge_agent.outputs.settings import FolderOutputSettings, OutputsSettings
from edge_agent.outputs.together import Together
from edge_agent.parts.settings import PartSettings
from tests.edge_agent.conftest import MakeAgent, wait_for
from tests.edge_agent.test_web_inspect import inspect
from tests.simulators.answers import LETTERHEAD, told
from tests.simulators.small_bundle import encoded, picture

OK, NG, REVIEW, NONE = Decision.OK, Decision.NG, Decision.REVIEW, Decision.NO_VERDICT


class Line:
    """A line with the cameras `left` and `right` at one part, and `alone` at another one."""

    def __init__(self) -> None:
        self.heard: list[Answer] = []
        self.now = time.monotonic()
        self.together = Together(
            {"left", "right"}.__contains__,
            lambda told: self.heard.append(LETTERHEAD.answer(told, self.now)),
            clock=lambda: self.now,
        )

    @property
    def said(self) -> list[tuple[str, Decision]]:
        return [(answer.camera, answer.decision) for answer in self.heard]


@pytest.fixture
def line() -> Line:
    return Line()


def view(camera: str, decision: Decision, part_id: str = "p-1", *, deadline: float = 1000.0) -> Told:
    found = told(0, decision, camera=camera, deadline=deadline)
    frame = found.verdict.frame.model_copy(update={"part_id": part_id})
    return replace(found, verdict=found.verdict.model_copy(update={"frame": frame}))


def part(decision: Decision, views: dict[str, Decision], part_id: str = "p-1") -> PartVerdict:
    missing = tuple(sorted({"left", "right"} - set(views)))
    reason = None if decision is OK else "why"
    return PartVerdict(
        part="housing", part_id=part_id, product="cap", decision=decision, views=views, missing=missing,
        decided_at=datetime.now(UTC), reason=reason,
    )  # fmt: skip


def test_good_view_of_a_bad_part_is_never_heard_as_ok(line: Line) -> None:
    views = {"left": (view("left", OK), "tell"), "right": (view("right", NG), "tell")}
    verdict = part(NG, {"left": OK, "right": NG})
    for order in itertools.permutations(["left", "right", "part"]):  # the part may be known before its last view is
        line.heard.clear()
        for what in order:
            if what == "part":
                line.together.decided(verdict)
            else:
                line.together.tell(views[what][0])
        assert sorted(line.said) == [("left", NG), ("right", NG)], order
        assert {answer.recorded.decision for answer in line.heard} == {OK, NG}
        assert {answer.reason for answer in line.heard} == {"why"}


def test_nothing_is_heard_of_a_view_before_the_part_is_decided(line: Line) -> None:
    line.together.tell(view("left", NG))
    line.together.tell(view("alone", OK))
    assert line.said == [("alone", OK)]
    line.together.decided(part(NONE, {"left": NG}))
    assert line.said[1:] == [("left", NONE)]


def test_part_that_lacks_a_view_is_no_verdict_for_the_others(line: Line) -> None:
    line.together.tell(view("left", OK))
    line.together.decided(part(NONE, {"left": OK}))
    assert line.said == [("left", NONE)]
    late = view("right", OK)
    line.together.tell(late)
    assert len(line.said) == 1, "it belongs to no decision"
    line.now += 2000
    line.together.tell(view("alone", OK))
    assert line.said[1:] == [("right", NONE), ("alone", NONE)]
    assert "late by" in (line.heard[1].reason or "")


def test_second_look_at_a_part_waits_for_its_own_decision(line: Line) -> None:
    for camera in ("left", "right"):
        line.together.tell(view(camera, OK))
    line.together.decided(part(OK, {"left": OK, "right": OK}))
    assert line.said == [("left", OK), ("right", OK)]
    line.together.tell(view("left", OK))
    assert len(line.said) == 2
    line.together.tell(view("right", NG))
    line.together.decided(part(NG, {"left": OK, "right": NG}))
    assert line.said[2:] == [("left", NG), ("right", NG)]


def test_part_that_is_decided_after_the_deadline_is_no_verdict(line: Line) -> None:
    line.together.tell(view("left", OK, deadline=5.0))
    line.together.tell(view("right", OK, deadline=1000.0))
    line.now += 10
    line.together.decided(part(OK, {"left": OK, "right": OK}))
    assert sorted(line.said) == [("left", NONE), ("right", OK)]


def test_line_of_an_agent_hears_the_part(make_agent: MakeAgent, tmp_path: Path) -> None:
    housing = PartSettings(name="housing", views=("cam-a", "cam-b"), within_seconds=60.0)
    outputs = OutputsSettings(folder=(FolderOutputSettings(name="files", path=tmp_path / "out"),))
    agent = make_agent(parts=(housing,), outputs=outputs)
    dark, bright = encoded(picture(80)), encoded(picture(180))
    for part_id, second in (("P-1", bright), ("P-2", dark)):
        inspect(agent, dark, f"?camera=cam-a&part_id={part_id}")
        inspect(agent, second, f"?camera=cam-b&part_id={part_id}")
    inspect(agent, dark, "?camera=cam-c&part_id=P-3")
    wait_for(lambda: len(list((tmp_path / "out").glob("*.answer.json"))) == 5)
    answers = [Answer.model_validate_json(path.read_bytes()) for path in (tmp_path / "out").glob("*.answer.json")]
    assert sorted((answer.part_id, answer.camera, answer.decision, answer.recorded.decision) for answer in answers) == [
        ("P-1", "cam-a", NG, OK),
        ("P-1", "cam-b", NG, NG),
        ("P-2", "cam-a", OK, OK),
        ("P-2", "cam-b", OK, OK),
        ("P-3", "cam-c", OK, OK),
    ]
