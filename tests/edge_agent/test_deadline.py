"""Deadlines: what comes late is no verdict, says by how much, and an agent records, counts and answers it so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.frame import Decision
from edge_agent.deadline import Deadlines, in_time, is_late
from edge_agent.settings import InspectionSettings
from tests.edge_agent.conftest import MakeAgent
from tests.edge_agent.test_web_inspect import inspect
from tests.simulators.answers import verdict
from tests.simulators.captures import ListSource, inspection
from tests.simulators.small_bundle import picture


@pytest.mark.parametrize("decision", [Decision.OK, Decision.NG, Decision.REVIEW])
def test_a_late_verdict_is_none_and_says_by_how_much(decision: Decision) -> None:
    found = in_time(verdict(3, decision), age=1.25, deadline=1.0)
    assert found.decision is Decision.NO_VERDICT
    assert (found.reason or "").startswith("late by 0.25 s")
    assert (found.label, found.scores, found.defect_score) == (None, {}, None)
    assert found.frame == verdict(3).frame
    assert is_late(found)


def test_a_verdict_in_time_stays_what_it_is() -> None:
    assert in_time(verdict(), age=1.0, deadline=1.0) == verdict()


def test_what_has_a_reason_already_keeps_it() -> None:
    none = verdict(0, Decision.NO_VERDICT)
    assert in_time(none, age=9.0, deadline=1.0) is none
    assert not is_late(none)


def test_a_camera_may_have_a_deadline_of_its_own() -> None:
    deadlines = Deadlines(10.0, {"cam-b": 0.5})
    slow, fast = inspection(0, camera="cam-a"), inspection(0, camera="cam-b")
    slow = replace(slow, capture=replace(slow.capture, since=0.0))
    fast = replace(fast, capture=replace(fast.capture, since=0.0))
    assert deadlines.judge(slow, 0.6) is slow
    late = deadlines.judge(fast, 0.6)
    assert late.verdict.decision is Decision.NO_VERDICT
    assert (late.vector, late.confidence) == (None, None)


def test_an_agent_records_counts_and_answers_late_ones(make_agent: MakeAgent) -> None:
    options = InspectionSettings(deadline_seconds=100.0, camera_deadline_seconds={"cam-a": 1e-6})
    source = ListSource([picture(80)])
    agent = make_agent(source, inspection=options)
    assert source.finished.wait(60)
    assert inspect(agent, query="?part_id=in-time&camera=cam-b")[0] == 200
    status, told = inspect(agent, query="?part_id=late&camera=cam-a")
    assert status == 422
    assert told["error"].startswith("late by ")
    recorded = {entry.verdict.frame.part_id: entry.verdict for entry in agent.core.record.entries(limit=9)}
    assert is_late(recorded["late"])
    assert is_late(recorded["cam-a-0"])
    assert recorded["in-time"].decision is Decision.NG
    registry = agent.core.metrics.registry
    assert registry.get_sample_value("lineside_agent_late_verdicts_total", {"camera": "cam-a"}) == 2
    assert registry.get_sample_value("lineside_agent_late_verdicts_total", {"camera": "cam-b"}) is None
    assert agent.core.recent.counts() == {"NO_VERDICT": 2, "NG": 1}
